#include "session/batch.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "platform/error.h"

namespace dotori {
namespace {

void check_turns(std::span<const Turn> turns) {
  const Model& model = turns.front().session->model;
  int64_t total = 0;
  for (const Turn& turn : turns) {
    const auto is_same = [&](const Turn& other) { return other.session == turn.session; };
    if (std::count_if(turns.begin(), turns.end(), is_same) > 1) {
      throw Error("step: a session twice; once is needed; join its ids");
    }
    if (&turn.session->model != &model) throw Error("step: sessions of two models; one is needed; step them apart");
    if (turn.ids.empty()) throw Error("step: a session without ids; at least one is needed; leave the session out");
    check(*turn.session, turn.ids);
    total += static_cast<int64_t>(turn.ids.size());
  }
  if (total > step_room(model)) {
    throw Error("step: " + std::to_string(total) + " ids; at most " + std::to_string(step_room(model)) +
                "; spread them over several steps");
  }
}

// Logits for the sessions that want them, kLogitRows at a time.
void hand_out_logits(Pass& pass, std::span<const Turn> turns) {
  int rows[kLogitRows];
  Session* sessions[kLogitRows];
  size_t count = 0;
  for (size_t index = 0; index < turns.size(); ++index) {
    if (turns[index].wants_logits) {
      rows[count] = pass.lanes[index].first + pass.lanes[index].count - 1;
      sessions[count++] = turns[index].session;
    }
    if (count == 0 || (count < kLogitRows && index + 1 < turns.size())) continue;
    head(pass, {rows, count});
    const int vocab = pass.config.vocab_size;
    for (size_t i = 0; i < count; ++i) {
      const float* logits = pass.activations.logits + static_cast<int64_t>(i) * padded(vocab);
      std::memcpy(sessions[i]->logits.data(), logits, sizeof(float) * vocab);
    }
    count = 0;
  }
}

void add_rows(const Pass& pass, const Lane& lane, double* sum) {
  std::vector<float> row(pass.config.hidden_size);
  for (int t = lane.first; t < lane.first + lane.count; ++t) {
    final_row(pass, t, row.data());
    for (size_t d = 0; d < row.size(); ++d) sum[d] += row[d];
  }
}

}  // namespace

int step_room(const Model& model) { return model.activations.chunk; }

void step(std::span<const Turn> turns) {
  if (turns.empty()) return;
  check_turns(turns);
  std::vector<Lane> lanes;
  std::vector<int32_t> ids;
  for (const Turn& turn : turns) {
    lanes.push_back({&turn.session->cache, static_cast<int>(ids.size()), static_cast<int>(turn.ids.size())});
    ids.insert(ids.end(), turn.ids.begin(), turn.ids.end());
  }
  Model& model = turns.front().session->model;
  const std::lock_guard guard(model.guard);
  Pass pass = make_pass(model, lanes, ids.data());
  forward(pass);
  hand_out_logits(pass, turns);
  for (size_t index = 0; index < turns.size(); ++index) {
    const Turn& turn = turns[index];
    if (turn.sum) add_rows(pass, lanes[index], turn.sum);
    turn.session->tokens.insert(turn.session->tokens.end(), turn.ids.begin(), turn.ids.end());
  }
}

int borrow_prefix(Session& session, const Session& other, Ids ids) {
  const int own = keep_prefix(session, ids);
  const int shared = shared_prefix(other, ids);
  if (shared <= own || &session == &other || !can_copy(other.cache, session.cache, shared)) return own;
  copy_beginning(other.cache, shared, session.cache);
  session.tokens.assign(ids.begin(), ids.begin() + shared);
  return shared;
}

}  // namespace dotori
