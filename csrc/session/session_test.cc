// Whole sessions on small random models, with every kernel table that runs here.
#include "session/session.h"

#include <limits>
#include <string>
#include <thread>

#include "session/test_support.h"
#include "tests/check.h"

namespace dotori::test {
namespace {

void check_the_count() {
  int64_t before = allocations;
  delete new std::vector<float>(10);
  CHECK(allocations > before, "operator new is not counted");
  if (!DOTORI_COUNTS_MALLOC) return;
  before = allocations;
  void* volatile place = std::malloc(10);
  CHECK(allocations > before, "malloc is not counted");
  std::free(place);
  before = allocations;
  Buffer buffer(4096);
  CHECK(allocations > before, "mmap is not counted");
}

void check_no_allocation(Model& model, const char* name) {
  Sampling warm, strict;
  warm.temperature = 0.8;
  strict.temperature = 1.2;
  strict.top_k = 40;
  strict.top_p = 0.9;
  strict.min_p = 0.01;
  strict.repetition_penalty = 1.1;
  Session session = make_session(model, 128);
  const std::vector<int32_t> prompt = ids_of(20);
  for (const Sampling& sampling : {Sampling{}, warm, strict}) {
    keep_prefix(session, {});
    int32_t id = next(session, prompt, sampling);
    const int64_t before = allocations;
    for (int step = 0; step < 50; ++step) id = next(session, {&id, 1}, sampling);
    const int64_t made = allocations - before;
    CHECK(made == 0, "%s, temperature %g: %lld allocations", name, sampling.temperature, static_cast<long long>(made));
  }
  std::vector<int32_t> found;
  found.reserve(kLogitRows);
  keep_prefix(session, {});
  int32_t id = next(session, prompt, {});
  const int64_t before = allocations;
  for (int step = 0; step < 50 && session.cache.length < 128; ++step) {
    id = next_by_lookup(session, id, kLogitRows, found).back();
  }
  CHECK(allocations == before, "%s, lookup: %lld allocations", name, static_cast<long long>(allocations - before));
}

// Across a chunk's end, in steps of any size and with any number of threads: the same bits.
void check_same_bits(const TestPath& file, Model& model, const char* name) {
  const std::vector<int32_t> ids = ids_of(kDenseChunk + 30);
  Session whole = make_session(model, 256);
  const std::vector<float> expected = logits_after(whole, ids);
  for (const int step : {1, 7}) {
    Session session = make_session(model, 256);
    for (size_t at = 0; at < ids.size(); at += step) {
      const Ids some = Ids(ids).subspan(at, std::min<size_t>(step, ids.size() - at));
      const std::vector<float> logits = logits_after(session, some);
      CHECK(!std::memcmp(logits.data(), &expected[at * kVocab], sizeof(float) * logits.size()),
            "%s: %d at a time differ at %d", name, step, static_cast<int>(at));
    }
  }
  const auto crowd = open(file, 3);
  Session session = make_session(*crowd, 256);
  CHECK(logits_after(session, ids) == expected, "%s: 3 threads differ from 1", name);
  CHECK(continue_plainly(session, Ids(ids).first(1), 20, {}) == continue_plainly(whole, Ids(ids).first(1), 20, {}),
        "%s: 3 threads differ from 1 token by token", name);
}

// Experts add up in another order with other threads and chunks: rounding, and then int8 steps, differ a little.
void check_close(const TestPath& file, Model& model, const char* name) {
  const std::vector<int32_t> ids = ids_of(60);
  Session whole = make_session(model, 256);
  const std::vector<float> expected = logits_after(whole, ids);
  const auto crowd = open(file, 3);
  Session single = make_session(*crowd, 256);
  double error = 0.0, power = 0.0;
  for (size_t at = 0; at < ids.size(); ++at) {
    const std::vector<float> logits = logits_after(single, {&ids[at], 1});
    for (int id = 0; id < kVocab; ++id) {
      const double one = expected[at * kVocab + id];
      error += (logits[id] - one) * (logits[id] - one);
      power += one * one;
    }
  }
  CHECK(error <= 0.05 * 0.05 * power, "%s: %g of the logits' size", name, std::sqrt(error / power));
}

void check_lookup(Model& model, const char* name) {
  std::vector<int32_t> prompt = ids_of(12), found;
  for (int i = 0; i < 24; ++i) prompt.push_back(prompt[i]);
  Session plain = make_session(model, 256), guessing = make_session(model, 256);
  const std::vector<int32_t> expected = continue_plainly(plain, prompt, 200, {});
  std::vector<int32_t> made = {next(guessing, prompt, {})};
  int passes = 0;
  for (; made.size() < expected.size(); ++passes) {
    const int limit = static_cast<int>(expected.size() - made.size());
    for (const int32_t id : next_by_lookup(guessing, made.back(), limit, found)) made.push_back(id);
  }
  CHECK(made == expected, "%s: lookup changes the tokens", name);
  // These models come to repeat a token: a guess must go on repeating it, though it has stood there only just before.
  CHECK(passes < 40, "%s: %d passes for 199 tokens", name, passes);
  CHECK(guessing.tokens == plain.tokens, "%s: %d tokens in the cache, not %d", name, guessing.cache.length,
        plain.cache.length);
}

void check_prefix(Model& model, const char* name) {
  const std::vector<int32_t> first = ids_of(40);
  std::vector<int32_t> second(first.begin(), first.begin() + 25);
  for (const int32_t id : ids_of(10, 1)) second.push_back(id);
  Session session = make_session(model, 64), fresh = make_session(model, 64);
  append(session, first);
  CHECK(keep_prefix(session, first) == 39, "%s: the last id is read anew", name);
  CHECK(keep_prefix(session, second) == 25 && session.tokens.size() == 25, "%s: %d kept", name, session.cache.length);
  // In the same company as in `session`: a mixture of experts may add in another order otherwise.
  append(fresh, Ids(second).first(25));
  CHECK(continue_plainly(session, Ids(second).subspan(25), 15, {}) ==
            continue_plainly(fresh, Ids(second).subspan(25), 15, {}),
        "%s: what was read before shows", name);
  CHECK(keep_prefix(session, ids_of(3, 2)) == 0 && session.tokens.empty(), "%s: nothing is shared", name);
  CHECK(keep_prefix(session, {}) == 0, "%s: no ids", name);
}

// Layers with a window forget: going back may not reach positions that later ones have overwritten.
void check_ring() {
  const TestPath file(random_model("smallthinker", DType::Q4_0, true));
  const auto model = open(file, 1);
  const std::vector<int32_t> ids = ids_of(4700), more = ids_of(12, 1);
  Session session = make_session(*model, 8192), fresh = make_session(*model, 8192);
  append(session, ids);
  append(fresh, Ids(ids).first(4500));
  std::vector<int32_t> other(ids.begin(), ids.begin() + 4500);
  other.push_back(kVocab - 1);
  CHECK(keep_prefix(session, other) == 4500, "%d kept of 4500", session.cache.length);
  CHECK(logits_after(session, more) == logits_after(fresh, more), "positions within the window were lost");
  other.resize(4151);
  other[4150] = kVocab - 1;
  CHECK(keep_prefix(session, other) == 0, "%d kept, though their window was overwritten", session.cache.length);
}

void check_errors(Model& model) {
  Session session = make_session(model, 16);
  const int32_t low[] = {1, -1}, high[] = {kVocab};
  const std::vector<int32_t> ids = ids_of(16);
  append(session, Ids(ids).first(3));
  CHECK(fails([&] { append(session, low); }, "token id -1; 0 to 261"), "an id below");
  CHECK(fails([&] { next(session, high, {}); }, "token id 262; 0 to 261"), "an id beyond");
  CHECK(fails([&] { next(session, {}, {}); }, "no tokens"), "no ids");
  CHECK(fails([&] { append(session, Ids(ids).first(14)); }, "17 tokens; this session holds 16"), "too many ids");
  CHECK(session.cache.length == 3 && session.tokens.size() == 3, "%d after errors", session.cache.length);
  append(session, Ids(ids).first(13));
  std::vector<int32_t> found;
  CHECK(fails([&] { next(session, Ids(ids).first(1), {}); }, "17 tokens"), "a full context");
  CHECK(fails([&] { next_by_lookup(session, 1, 8, found); }, "17 tokens"), "a full context, by lookup");
  CHECK(session.tokens.size() == 16, "%d tokens in a full context", static_cast<int>(session.tokens.size()));
  CHECK(fails([&] { make_session(model, 0); }, "context: 0; 1 to 2048"), "no context");
  CHECK(fails([&] { make_session(model, 2049); }, "context: 2049; 1 to 2048"), "more than the model's context");
  CHECK(fails([] { open_model("/nowhere.gguf", 1, 0, 0); }, "/nowhere.gguf"), "no file");
}

void check_turns(Model& model) {
  std::vector<int32_t> found[3], expected[3];
  for (int i = 0; i < 3; ++i) {
    Session session = make_session(model, 128);
    expected[i] = continue_plainly(session, ids_of(10, i), 30, {});
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      Session session = make_session(model, 128);
      found[i] = continue_plainly(session, ids_of(10, i), 30, {});
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < 3; ++i) CHECK(found[i] == expected[i], "session %d of three at once differs", i);
}

// Values of dotori/model/sampling.py.
void check_draws() {
  CHECK(uniform(0, 0) == 0x1.4e0dba5e9a32fp-1, "%a", uniform(0, 0));
  CHECK(uniform(0, 1) == 0x1.6705460be8829p-1, "%a", uniform(0, 1));
  CHECK(uniform(1, 0) == 0x1.7906ac21d0e58p-2, "%a", uniform(1, 0));
  CHECK(uniform(42, 7) == 0x1.782d47a99890cp-1, "%a", uniform(42, 7));
  CHECK(uniform(~uint64_t{0}, 1000) == 0x1.15943cc274da0p-5, "%a", uniform(~uint64_t{0}, 1000));
  // sample(logits, Sampling(...), position, [3, 17, 3, 250]) at positions 0, 1, 17 and 4096, with
  // logits[i] = ((37 i + 11) mod 64 - 32) / 8 for i < 300.
  const struct {
    Sampling sampling;
    int32_t ids[4];
  } cases[] = {
      {{0, 0, 1, 0, 1, 0}, {36, 36, 36, 36}},          {{0.7, 0, 1, 0, 1, 1}, {202, 20, 15, 278}},
      {{1.3, 7, 1, 0, 1, 2}, {164, 36, 100, 36}},      {{1, 0, 0.6, 0, 1, 3}, {240, 157, 36, 74}},
      {{2, 0, 0.95, 0.05, 1, 4}, {283, 91, 266, 183}}, {{0.9, 50, 0.9, 0, 1.3, 5}, {124, 164, 86, 233}},
      {{1, 1, 1, 0, 1, 6}, {36, 36, 36, 36}},          {{5, 0, 1, 0, 1, ~uint64_t{0}}, {219, 253, 1, 296}},
      {{0.01, 0, 1, 0, 1, 7}, {228, 228, 100, 228}},   {{100, 200, 0.5, 0, 0.8, 8}, {195, 53, 8, 141}},
      {{1, 0, 1, 0.3, 1, 9}, {60, 164, 247, 292}},
  };
  const uint64_t positions[] = {0, 1, 17, 4096};
  const std::vector<int32_t> previous = {3, 17, 3, 250};
  Sampler sampler;
  for (const auto& one : cases) {
    for (int i = 0; i < 4; ++i) {
      float logits[300];
      for (int id = 0; id < 300; ++id) logits[id] = static_cast<float>((id * 37 + 11) % 64 - 32) / 8;
      const int32_t id = sample(sampler, one.sampling, logits, 300, positions[i], previous);
      CHECK(id == one.ids[i], "temperature %g, position %d: %d, not %d", one.sampling.temperature,
            static_cast<int>(positions[i]), id, one.ids[i]);
    }
  }
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    float logits[] = {1.0f, bad, 2.0f};
    CHECK(fails([&] { greedy(logits, 3); }, "not finite"), "logits of %g", bad);
  }
}

void check_models() {
  for (const DType type : {DType::F16, DType::Q4_0}) {
    const TestPath dense(random_model("llama", type)), mixture(random_model("smallthinker", type));
    const auto one = open(dense, 1), two = open(mixture, 2);
    const std::string isa = std::string(one->kernels->isa) + " " + name_of(type);
    const std::string names[] = {isa + " llama", isa + " smallthinker"};
    check_no_allocation(*one, names[0].c_str());
    check_no_allocation(*two, names[1].c_str());
    check_same_bits(dense, *one, names[0].c_str());
    check_close(mixture, *two, names[1].c_str());
    check_lookup(*one, names[0].c_str());
    check_lookup(*two, names[1].c_str());
    check_prefix(*one, names[0].c_str());
    check_prefix(*two, names[1].c_str());
    check_errors(*one);
    check_turns(*two);
  }
}

}  // namespace
}  // namespace dotori::test

int main() {
  using namespace dotori;
  test::check_the_count();
  test::check_draws();
  const KernelList list = runnable_kernels();
  for (int i = 0; i < list.count; ++i) {
    setenv("DOTORI_ISA", list.items[i]->isa, 1);
    test::check_models();
  }
  test::check_ring();  // with the fastest table: long texts
  return test::report("session_test");
}
