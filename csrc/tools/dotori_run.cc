// dotori_run MODEL.gguf [--prompt TEXT | --ids 1,2,3] [--tokens N] [--threads N] [--print-ids]
//
// Greedy continuation without Python: proof that the core stands alone, and the program for devices and emulators.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "platform/error.h"
#include "session/session.h"
#include "tokenizer/tokenizer.h"

namespace dotori {
namespace {

struct Options {
  std::string model, prompt;
  std::vector<int32_t> ids;
  int tokens = 64;
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  bool prints_ids = false;
};

int number(const char* name, const char* text) {
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (end == text || *end || value < 1 || value > 1 << 20) {
    throw Error(std::string(name) + ": " + text + "; a whole number from 1 on is needed; correct it");
  }
  return static_cast<int>(value);
}

std::vector<int32_t> parse_ids(const char* text) {
  std::vector<int32_t> ids;
  for (const char* at = text; *at;) {
    char* end = nullptr;
    ids.push_back(static_cast<int32_t>(std::strtol(at, &end, 10)));
    if (end == at || (*end && *end != ',')) throw Error(std::string("--ids: ") + text + "; as 1,2,3; correct it");
    at = *end ? end + 1 : end;
  }
  return ids;
}

Options parse(int count, char** words) {
  Options o;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const bool has_value = i + 1 < count;
    if (word == "--print-ids") {
      o.prints_ids = true;
    } else if (word == "--prompt" && has_value) {
      o.prompt = words[++i];
    } else if (word == "--ids" && has_value) {
      o.ids = parse_ids(words[++i]);
    } else if (word == "--tokens" && has_value) {
      o.tokens = number("--tokens", words[++i]);
    } else if (word == "--threads" && has_value) {
      o.threads = number("--threads", words[++i]);
    } else if (o.model.empty() && word[0] != '-') {
      o.model = word;
    } else {
      throw Error(word + ": not understood; dotori_run MODEL.gguf [--prompt TEXT | --ids 1,2,3] [--tokens N] "
                         "[--threads N] [--print-ids]; correct it");
    }
  }
  if (o.model.empty()) throw Error("model: none; name a .gguf file");
  return o;
}

int continue_text(const Options& o) {
  const Tokenizer tokenizer = make_tokenizer(open_gguf(o.model));
  const auto model = open_model(o.model, o.threads, 0, 0);
  std::vector<int32_t> ids = o.ids;
  if (ids.empty()) {
    if (model->config.bos >= 0) ids.push_back(model->config.bos);
    for (const int32_t id : encode(tokenizer, o.prompt)) ids.push_back(id);
  }
  Session session = make_session(*model, model->config.context_length);
  const auto begun = std::chrono::steady_clock::now();
  Ids fresh = ids;
  int made = 0;
  for (int32_t id = 0; made < o.tokens && session.cache.length + 1 < session.cache.context; ++made) {
    id = next(session, fresh, {});
    if (id == model->config.eos && !o.prints_ids) break;
    if (o.prints_ids) {
      std::printf("%d\n", id);
    } else {
      const auto bytes = token_bytes(tokenizer, id);
      std::fwrite(bytes.data(), 1, bytes.size(), stdout);
    }
    std::fflush(stdout);
    ids.assign(1, id);
    fresh = ids;
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  std::fprintf(stderr, "\n%d tokens, %.1f a second, %d threads, %s\n", made, made / seconds, o.threads,
               model->kernels->isa);
  return 0;
}

}  // namespace
}  // namespace dotori

int main(int count, char** words) {
  try {
    return dotori::continue_text(dotori::parse(count, words));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "dotori_run: %s\n", error.what());
    return 65;
  }
}
