// Sessions that step together give what each gives alone.
#include "session/batch.h"

#include <algorithm>

#include "session/test_support.h"
#include "tests/check.h"

namespace dotori::test {
namespace {

std::vector<float> last_logits(const Session& session) {
  return {session.logits.begin(), session.logits.begin() + kVocab};
}

// Greedy continuations of prompts that enter one after the other, the longer ones in pieces beside the others' tokens.
std::vector<std::vector<int32_t>> continue_together(Model& model, const std::vector<std::vector<int32_t>>& prompts,
                                                    int count, std::vector<std::vector<float>>& logits) {
  constexpr int kPiece = 11;
  std::vector<Session> sessions;
  for (size_t i = 0; i < prompts.size(); ++i) sessions.push_back(make_session(model, 256));
  std::vector<std::vector<int32_t>> unread = prompts, made(prompts.size());
  logits.assign(prompts.size(), {});
  for (size_t turn = 0;; ++turn) {
    std::vector<Turn> turns;
    std::vector<size_t> who;
    for (size_t i = 0; i < prompts.size() && i <= turn / 2; ++i) {
      if (static_cast<int>(made[i].size()) == count) continue;
      const size_t some = std::min<size_t>(unread[i].size(), kPiece);
      turns.push_back({&sessions[i], Ids(unread[i]).first(some), some == unread[i].size()});
      who.push_back(i);
    }
    if (turns.empty() && turn / 2 >= prompts.size()) return made;
    step(turns);
    for (size_t at = 0; at < who.size(); ++at) {
      const size_t i = who[at];
      if (!turns[at].wants_logits) {
        unread[i].erase(unread[i].begin(), unread[i].begin() + kPiece);
        continue;
      }
      logits[i] = last_logits(sessions[i]);
      made[i].push_back(choose(sessions[i], {}, {}));
      unread[i] = {made[i].back()};
    }
  }
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double error = 0.0, power = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += (a[i] - b[i]) * (a[i] - b[i]);
    power += a[i] * a[i];
  }
  return std::sqrt(error / power);
}

void check_together(const char* architecture, DType type, bool window, bool same_bits) {
  const TestPath file(random_model(architecture, type, window));
  const auto model = open(file, 2);
  std::vector<std::vector<int32_t>> prompts;
  for (int i = 0; i < kLogitRows + 3; ++i) prompts.push_back(ids_of(3 + i * 7 % 40, i));
  std::vector<std::vector<float>> logits;
  const int count = same_bits ? 30 : 1;  // of experts tokens could part at a tie
  const auto made = continue_together(*model, prompts, count, logits);
  for (size_t i = 0; i < prompts.size(); ++i) {
    Session alone = make_session(*model, 256);
    const std::vector<int32_t> expected = continue_plainly(alone, prompts[i], count, {});
    const double far = distance(last_logits(alone), logits[i]);
    CHECK(same_bits ? far == 0.0 && made[i] == expected : far < 0.05, "%s %s, session %d: logits are off by %g",
          architecture, name_of(type), static_cast<int>(i), far);
  }
}

void check_borrowing(const char* architecture, bool window) {
  const TestPath file(random_model(architecture, DType::F16, window));
  const auto model = open(file, 1);
  const std::vector<int32_t> shared = ids_of(100);
  std::vector<int32_t> first = shared, second = shared;
  for (const int32_t id : ids_of(9, 1)) first.push_back(id);
  for (const int32_t id : ids_of(9, 2)) second.push_back(id);
  Session source = make_session(*model, 256), target = make_session(*model, 200), fresh = make_session(*model, 256);
  append(source, first);
  append(target, ids_of(30, 3));
  CHECK(borrow_prefix(target, source, second) == 100, "%s: %d borrowed", architecture, target.cache.length);
  CHECK(borrow_prefix(target, source, shared) == 99, "%s: the last id is read anew", architecture);
  CHECK(borrow_prefix(source, source, second) == 100, "%s: from itself", architecture);
  append(fresh, shared);
  const Ids rest = Ids(second).subspan(99);
  keep_prefix(fresh, shared);
  CHECK(logits_after(target, rest) == logits_after(fresh, rest), "%s: what was borrowed differs", architecture);
}

void check_choosing() {
  const TestPath file(random_model("llama", DType::Q8_0));
  const auto model = open(file, 1);
  Session session = make_session(*model, 64);
  const std::vector<int32_t> ids = ids_of(5);
  std::vector<uint32_t> allowed((kVocab + 31) / 32);
  const Turn turns[] = {{&session, ids, true}};
  step(turns);
  CHECK(fails([&] { choose(session, {}, allowed); }, "no token allowed"), "nothing allowed");
  for (const int32_t only : {0, 31, 32, kVocab - 1}) {
    for (const double temperature : {0.0, 1.0}) {
      keep_prefix(session, {});
      step(turns);
      std::fill(allowed.begin(), allowed.end(), 0);
      allowed[only / 32] = 1u << only % 32;
      Sampling sampling;
      sampling.temperature = temperature;
      const int32_t id = choose(session, sampling, allowed);
      CHECK(id == only, "%d, though only %d was allowed", id, only);
    }
  }
}

void check_errors() {
  const TestPath file(random_model("llama", DType::Q8_0));
  const auto model = open(file, 1), another = open(file, 1);
  Session a = make_session(*model, 16), b = make_session(*another, 16);
  const std::vector<int32_t> ids = ids_of(16), many = ids_of(kDenseChunk, 1);
  Session wide = make_session(*model, 512);
  const auto refuses = [](std::vector<Turn> turns, const char* part) { return fails([&] { step(turns); }, part); };
  CHECK(refuses({{&a, ids, true}, {&b, ids, true}}, "two models"), "two models");
  CHECK(refuses({{&a, ids, true}, {&a, ids, true}}, "twice"), "a session twice");
  CHECK(refuses({{&a, {}, true}}, "without ids"), "no ids");
  CHECK(refuses({{&a, many, true}}, "128 tokens"), "beyond the context");
  CHECK(refuses({{&a, ids, true}, {&wide, many, true}}, "step: 144 ids; at most 128"), "too many ids");
  CHECK(a.cache.length == 0 && wide.cache.length == 0, "appended in spite of an error");
  step({});
}

void check_sums() {
  const TestPath file(random_model("llama", DType::F32));
  const auto model = open(file, 2);
  Session session = make_session(*model, 512), other = make_session(*model, 512);
  const std::vector<int32_t> ids = ids_of(kDenseChunk), one = {7};
  const int size = model->config.hidden_size;
  std::vector<double> whole(size), parts(size);
  step(std::vector<Turn>{{&session, ids, false, whole.data()}});
  keep_prefix(session, {});
  for (size_t at = 0; at < ids.size(); at += 1 + at % 5) {
    const Ids some = Ids(ids).subspan(at, std::min(1 + at % 5, ids.size() - at));
    if (at % 2 == 0 && other.cache.length < 500) {
      step(std::vector<Turn>{{&other, one, true}, {&session, some, false, parts.data()}});
    } else {
      step(std::vector<Turn>{{&session, some, false, parts.data()}});
    }
  }
  // The same numbers, added in the same order.
  CHECK(parts == whole, "rows summed in parts differ");
  CHECK(std::any_of(whole.begin(), whole.end(), [](double value) { return value != 0.0; }), "an empty row");
}

}  // namespace
}  // namespace dotori::test

int main() {
  using namespace dotori;
  for (const DType type : {DType::F16, DType::Q4_0, DType::Q8_0}) test::check_together("llama", type, false, true);
  test::check_together("smallthinker", DType::Q4_0, true, false);
  test::check_borrowing("llama", false);
  test::check_borrowing("smallthinker", true);
  test::check_choosing();
  test::check_errors();
  test::check_sums();
  return test::report("batch_test");
}
