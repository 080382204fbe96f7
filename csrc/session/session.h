// A conversation with a model: the tokens so far, their cache, and what can be asked about what follows.
//
// Several sessions may share a model; they take turns, from any thread. Nothing is allocated per token.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/model.h"
#include "session/sampler.h"

namespace dotori {

using Ids = std::span<const int32_t>;

struct Session {
  Model& model;
  KvCache cache;
  std::vector<int32_t> tokens;  // in the cache
  Sampler sampler;
  std::vector<float> logits;    // of one position, for the sampler
  int guess = 4;                // tokens that prompt lookup guesses next: more after good guesses, fewer after bad ones
};

// `context`: positions it may hold, at most the model's. Throws Error.
Session make_session(Model& model, int context);

// Keeps the longest beginning that the cache and `ids` share, at most all but one of `ids`; returns its length.
int keep_prefix(Session& session, Ids ids);

// Appends ids. Throws Error for ids outside the vocabulary or more than the context holds.
void append(Session& session, Ids ids);

// Appends ids (at least one) and chooses the next one, which is not appended.
int32_t next(Session& session, Ids ids, const Sampling& sampling);

// Appends ids and writes the logits after each, (ids, vocab_size).
void append_with_logits(Session& session, Ids ids, float* out);

// Begins anew with ids; the sum of natural-log probabilities of ids[start..], start >= 1.
double loglikelihood(Session& session, Ids ids, int start);

// Greedy decoding with prompt lookup: appends `id` and a guess of what follows it, taken from after the last place
// where the same few tokens stood before, and returns the greedy tokens after id: one more than were guessed right, at
// most `limit`. All but the last returned are appended. The result is that of repeated next() with temperature 0, bit
// by bit.
std::span<const int32_t> next_by_lookup(Session& session, int32_t id, int limit, std::vector<int32_t>& found);

}  // namespace dotori
