#include "session/session.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>

#include "platform/error.h"

namespace dotori {
namespace {

constexpr int kLongestMatch = 3, kShortestMatch = 2;  // tokens that must repeat for a guess
constexpr int kLongestGuess = kLogitRows - 1;

// Runs ids through in chunks; after each, consume(pass, chunk's first index).
template <typename Consume>
void run_chunks(Session& session, Ids ids, Consume consume) {
  const int chunk = session.model.activations.chunk, total = static_cast<int>(ids.size());
  for (int first = 0; first < total; first += chunk) {
    const int count = std::min(chunk, total - first);
    const Lane lane = {&session.cache, 0, count};
    Pass pass = make_pass(session.model, {&lane, 1}, ids.data() + first);
    forward(pass);
    session.tokens.insert(session.tokens.end(), ids.begin() + first, ids.begin() + first + count);
    consume(pass, first);
  }
}

// Logits of `rows` (at most kLogitRows) rows of a pass, from `first` on.
void head_of(Pass& pass, int first, int rows) {
  int wanted[kLogitRows];
  std::iota(wanted, wanted + rows, first);
  head(pass, {wanted, static_cast<size_t>(rows)});
}

const float* logits_row(const Model& model, int row) {
  return model.activations.logits + static_cast<int64_t>(row) * padded(model.config.vocab_size);
}

void keep_logits(Session& session, int row) {
  std::memcpy(session.logits.data(), logits_row(session.model, row), sizeof(float) * session.model.config.vocab_size);
}

void truncate(Session& session, int length) {
  if (!can_truncate(session.cache, session.model.config, length)) length = 0;
  truncate(session.cache, length);
  session.tokens.resize(length);
}

double log_probability(const float* logits, int vocab_size, int32_t id) {
  const float largest = *std::max_element(logits, logits + vocab_size);
  double sum = 0.0;
  for (int i = 0; i < vocab_size; ++i) sum += std::exp(static_cast<double>(logits[i] - largest));
  return static_cast<double>(logits[id]) - largest - std::log(sum);
}

// What followed the latest earlier place of the last tokens, longest match first; fills `guess`. Where that place is so
// late that the text ends before the guess does, the text repeats itself, and the guess goes on repeating it.
int look_up(const std::vector<int32_t>& tokens, int32_t* guess, int room) {
  const int size = static_cast<int>(tokens.size());
  for (int match = kLongestMatch; match >= kShortestMatch; --match) {
    for (int at = size - match - 1; at >= 0; --at) {
      if (!std::equal(tokens.begin() + at, tokens.begin() + at + match, tokens.end() - match)) continue;
      for (int i = 0; i < room; ++i) {
        const int from = at + match + i;
        guess[i] = from < size ? tokens[from] : guess[from - size];
      }
      return room;
    }
  }
  return 0;
}

// The mask's words say which ids may be chosen.
void forbid_others(float* logits, int vocab_size, std::span<const uint32_t> allowed) {
  bool any = false;
  for (int id = 0; id < vocab_size; ++id) {
    const bool is_allowed = allowed[id / 32] >> (id % 32) & 1;
    any |= is_allowed;
    if (!is_allowed) logits[id] = -INFINITY;
  }
  if (!any) throw Error("constraint: no token allowed; at least one must be; correct the grammar");
}

}  // namespace

void check(const Session& session, Ids ids) {
  const ModelConfig& config = session.model.config;
  for (const int32_t id : ids) {
    if (id < 0 || id >= config.vocab_size) {
      throw Error("prompt: token id " + std::to_string(id) + "; 0 to " + std::to_string(config.vocab_size - 1) +
                  "; use this model's own tokenizer");
    }
  }
  const int64_t length = session.cache.length + static_cast<int64_t>(ids.size());
  if (length > session.cache.context) {
    throw Error("context: " + std::to_string(length) + " tokens; this session holds " +
                std::to_string(session.cache.context) + "; shorten the prompt or open a longer context");
  }
}

Session make_session(Model& model, int context) {
  if (context < 1 || context > model.config.context_length) {
    throw Error("context: " + std::to_string(context) + "; 1 to " + std::to_string(model.config.context_length) +
                " for this model; correct it");
  }
  Session session{model, make_kv_cache(model.config, context), {}, {}, {}};
  session.tokens.reserve(context);
  session.logits.resize(padded(model.config.vocab_size));
  session.sampler.ranked.reserve(model.config.vocab_size);
  session.sampler.is_seen.reserve(model.config.vocab_size);
  return session;
}

int shared_prefix(const Session& session, Ids ids) {
  const size_t limit = std::min(session.tokens.size(), ids.empty() ? 0 : ids.size() - 1);
  return static_cast<int>(std::mismatch(ids.begin(), ids.begin() + limit, session.tokens.begin()).first - ids.begin());
}

int keep_prefix(Session& session, Ids ids) {
  truncate(session, shared_prefix(session, ids));
  return session.cache.length;
}

void append(Session& session, Ids ids) {
  check(session, ids);
  const std::lock_guard turn(session.model.guard);
  run_chunks(session, ids, [](Pass&, int) {});
}

int32_t next(Session& session, Ids ids, const Sampling& sampling) {
  if (ids.empty()) throw Error("prompt: no tokens; at least one is needed; begin with the BOS token");
  check(session, ids);
  {
    const std::lock_guard turn(session.model.guard);
    run_chunks(session, ids, [&](Pass& pass, int first) {
      if (first + pass.count == static_cast<int>(ids.size())) head_of(pass, pass.count - 1, 1);
    });
    keep_logits(session, 0);
  }
  return choose(session, sampling, {});
}

int32_t choose(Session& session, const Sampling& sampling, std::span<const uint32_t> allowed) {
  const int vocab = session.model.config.vocab_size;
  if (!allowed.empty()) forbid_others(session.logits.data(), vocab, allowed);
  return sample(session.sampler, sampling, session.logits.data(), vocab, session.tokens.size(), session.tokens);
}

void append_with_logits(Session& session, Ids ids, float* out) {
  check(session, ids);
  const int64_t vocab = session.model.config.vocab_size;
  const std::lock_guard turn(session.model.guard);
  run_chunks(session, ids, [&](Pass& pass, int first) {
    for (int row = 0; row < pass.count; row += kLogitRows) {
      const int rows = std::min(kLogitRows, pass.count - row);
      head_of(pass, row, rows);
      for (int i = 0; i < rows; ++i) {
        std::memcpy(out + (first + row + i) * vocab, logits_row(session.model, i), sizeof(float) * vocab);
      }
    }
  });
}

double loglikelihood(Session& session, Ids ids, int start) {
  truncate(session, 0);
  check(session, ids);
  const int vocab = session.model.config.vocab_size, last = static_cast<int>(ids.size()) - 1;
  double sum = 0.0;
  const std::lock_guard turn(session.model.guard);
  run_chunks(session, ids, [&](Pass& pass, int first) {
    // The logits after index i judge ids[i + 1].
    const int begin = std::max(0, start - 1 - first), end = std::min(pass.count, last - first);
    for (int row = begin; row < end; row += kLogitRows) {
      const int rows = std::min(kLogitRows, end - row);
      head_of(pass, row, rows);
      for (int i = 0; i < rows; ++i) {
        sum += log_probability(logits_row(session.model, i), vocab, ids[first + row + i + 1]);
      }
    }
  });
  return sum;
}

std::span<const int32_t> next_by_lookup(Session& session, int32_t id, int limit, std::vector<int32_t>& found) {
  const int vocab = session.model.config.vocab_size;
  session.tokens.push_back(id);  // part of what is looked up
  int32_t ids[kLogitRows] = {id};
  const int room = std::min({session.guess, limit - 1, session.cache.context - session.cache.length - 1});
  const int guessed = room > 0 ? look_up(session.tokens, ids + 1, room) : 0;
  session.tokens.pop_back();
  const int before = session.cache.length;
  check(session, {ids, static_cast<size_t>(1 + guessed)});
  found.clear();
  const std::lock_guard turn(session.model.guard);
  run_chunks(session, {ids, static_cast<size_t>(1 + guessed)}, [&](Pass& pass, int) { head_of(pass, 0, pass.count); });
  for (int row = 0; row <= guessed; ++row) {
    found.push_back(greedy(logits_row(session.model, row), vocab));
    if (row == guessed || found.back() != ids[row + 1]) break;
  }
  truncate(session, before + static_cast<int>(found.size()));
  const int right = static_cast<int>(found.size()) - 1;
  if (guessed > 0) session.guess = right == guessed ? std::min(2 * guessed, kLongestGuess) : std::max(1, right);
  return {found.data(), found.size()};
}

}  // namespace dotori
