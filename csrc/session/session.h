// A conversation with a model: the tokens so far, their cache, and what can be asked about what follows.
//
// Several sessions may share a model; they take turns, from any thread, or step together (batch.h). Nothing is
// allocated per token.
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
  std::vector<float> logits;    // after the last token that they were asked for
  int guess = 4;                // tokens that prompt lookup guesses next: more after good guesses, fewer after bad ones
};

// `context`: positions it may hold, at most the model's. Throws Error.
Session make_session(Model& model, int context);

// Throws Error for ids outside the vocabulary or, appended, beyond the context.
void check(const Session& session, Ids ids);

// How many ids the session's text and `ids` share from the beginning on, at most all but one of `ids`.
int shared_prefix(const Session& session, Ids ids);

// Keeps that beginning in the cache, where the cache can go back to it, and returns its length.
int keep_prefix(Session& session, Ids ids);

// Appends ids. Throws Error for ids outside the vocabulary or more than the context holds.
void append(Session& session, Ids ids);

// Appends ids (at least one) and chooses the next one, which is not appended.
int32_t next(Session& session, Ids ids, const Sampling& sampling);

// Chooses an id from session.logits, which it changes. `allowed`: empty, or a bit for each id, a word's lowest first;
// ids whose bit is 0 are not chosen. Throws Error when none is allowed.
int32_t choose(Session& session, const Sampling& sampling, std::span<const uint32_t> allowed);

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
