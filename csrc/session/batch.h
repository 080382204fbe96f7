// Several sessions of one model that go on together: one reading of the weights serves them all.
#pragma once

#include "session/session.h"

namespace dotori {

// What a session appends in a step.
struct Turn {
  Session* session;
  Ids ids;
  bool wants_logits;        // after the last id
  double* sum = nullptr;    // where to add the final norm's rows (hidden_size) of all ids: embeddings
};

// The most ids that a step takes.
int step_room(const Model& model);

// Appends every turn's ids (at least one each, step_room in all; a session occurs once); each session that wants them
// then holds the logits after its last id. Results are those of append() and next(), to the bit; of experts within
// rounding. Throws Error before anything is appended.
void step(std::span<const Turn> turns);

// Takes over from `other`, a session of the same model, as much of the beginning that it shares with `ids` as is more
// than `session` has read of them itself, and returns how many of `ids` are then read, at most all but one.
int borrow_prefix(Session& session, const Session& other, Ids ids);

}  // namespace dotori
