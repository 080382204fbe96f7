#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "format/test_file.h"
#include "tests/check.h"
#include "tokenizer/unicode_tables.h"

namespace dotori::test {
namespace {

using Ids = std::vector<int32_t>;

Tokenizer tokenizer_of(const TestFile& file) {
  const std::string bytes = finish(file);
  return make_tokenizer(parse(bytes));
}

Tokenizer byte_level(const char* family, const std::vector<std::string>& control = {},
                     const std::vector<std::string>& user_defined = {}) {
  TestFile file;
  add_byte_level(file, family, control, user_defined);
  return tokenizer_of(file);
}

void expect_error(const TestFile& file, const std::string& part) {
  std::string message;
  try {
    tokenizer_of(file);
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK(message.find(part) != std::string::npos, "wanted '%s', got '%s'", part.c_str(), message.c_str());
}

std::string decode(const Tokenizer& tokenizer, const Ids& ids) {
  std::string text;
  for (const int32_t id : ids) text += token_bytes(tokenizer, id);
  return text;
}

struct Split {
  const char* text;
  std::vector<std::string> words;
};

void expect_words(Pretokenizer kind, const std::vector<Split>& cases) {
  for (const Split& wanted : cases) {
    Splitter splitter{kind, wanted.text};
    std::string got;
    size_t index = 0;
    bool is_equal = true;
    for (std::string_view word = next_word(splitter); !word.empty(); word = next_word(splitter), ++index) {
      got.append("[").append(word).append("]");
      is_equal = is_equal && index < wanted.words.size() && wanted.words[index] == word;
    }
    CHECK(is_equal && index == wanted.words.size(), "'%s' became %s", wanted.text, got.c_str());
  }
}

void test_words() {
  expect_words(Pretokenizer::qwen2, {{"", {}},
                                     {"I'LL don't 'x", {"I", "'LL", " don", "'t", " '", "x"}},
                                     {"it'\xc5\xbf", {"it", "'\xc5\xbf"}},
                                     {"도토리 1234원!", {"도토리", " ", "1", "2", "3", "4", "원", "!"}},
                                     {"a  b\n\n c \r\n d  ", {"a", " ", " b", "\n\n", " c", " \r\n", " d", "  "}},
                                     {"x ...\n\n\ty\xc2\xa0z", {"x", " ...\n\n", "\ty", "\xc2\xa0z"}},
                                     {" \n", {" \n"}},
                                     {"\t!", {"\t", "!"}},
                                     {"-a -1", {"-a", " -", "1"}}});
  expect_words(Pretokenizer::llama_bpe, {{"1234567", {"123", "456", "7"}},
                                         {" 12\xd9\xa1\xd9\xa2", {" ", "12\xd9\xa1", "\xd9\xa2"}}});
  expect_words(Pretokenizer::gpt2, {{"I'll I'LL", {"I", "'ll", " I", "'", "LL"}},
                                    {"a 12 !?  \n b", {"a", " 12", " !?", "  \n", " b"}},
                                    {"\nx\t y", {"\n", "x", "\t", " y"}}});
  expect_words(Pretokenizer::smollm, {{"a 12b  3", {"a", " ", "1", "2", "b", "  ", "3"}},
                                      {"it's 1\n\n x9.", {"it", "'s", " ", "1", "\n\n", " x", "9", "."}},
                                      {"\xe2\x85\xa7 도토리", {"\xe2\x85\xa7", " 도토리"}}});
  expect_words(Pretokenizer::plain, {{"a, b$12345 x", {"a", ",", " b", "$", "123", "45", " x"}},
                                     {" 1234\xd9\xa1", {" ", "123", "4\xd9\xa1"}},
                                     {"don't", {"don", "'", "t"}}});
}

void test_classes() {
  CHECK(class_of('a') == CharacterClass::letter && class_of('7') == CharacterClass::number, "ASCII");
  CHECK(class_of(0xac00) == CharacterClass::letter && class_of(0xd7a3) == CharacterClass::letter, "Hangul");
  CHECK(class_of(0xd7a4) == CharacterClass::other && class_of(0x0301) == CharacterClass::other, "others");
  CHECK(class_of(0x3000) == CharacterClass::space && class_of(0x85) == CharacterClass::space, "spaces");
  CHECK(class_of(0x1c) == CharacterClass::other && class_of(0x200b) == CharacterClass::other, "no spaces");
  CHECK(class_of(0x2167) == CharacterClass::number && class_of(0x10ffff) == CharacterClass::other, "the rest");
  for (char first = 1; first < 127; ++first) {  // the splitters' own table agrees
    const std::string text = {first, '\n'};
    Splitter splitter{Pretokenizer::gpt2, text};
    const size_t bytes = next_word(splitter).size();
    CHECK((bytes == 2) == (class_of(static_cast<uint32_t>(first)) == CharacterClass::space), "byte %d", first);
  }
}

void test_merges() {
  const Tokenizer tokenizer = byte_level("qwen2");
  CHECK(encode(tokenizer, "the") == Ids{257}, "the");
  // "l l" comes before "h e": hello is h e ll o or he ll o, both merges apply.
  CHECK(encode(tokenizer, "hello") == (Ids{259, 258, 'o'}), "hello");
  CHECK(encode(tokenizer, " thethx") == (Ids{' ', 257, 256, 'x'}), "neighbours");
  CHECK(encode(tokenizer, "") == Ids{}, "nothing");
  CHECK(encode(tokenizer, "lll") == (Ids{258, 'l'}), "the leftmost of equals");
  const std::string text = "도토리 한 톨\r\n\t🐿️ \x01\x7f the end";
  CHECK(decode(tokenizer, encode(tokenizer, text)) == text, "all bytes come back");
}

void test_whole_words() {
  TestFile file;
  add_byte_level(file, "llama-bpe", {"control"}, {});
  const Tokenizer tokenizer = tokenizer_of(file);
  CHECK(encode(tokenizer, "he") == Ids{259}, "a word that is a token");
  const Ids spelled = encode(tokenizer, "control");
  CHECK(std::find(spelled.begin(), spelled.end(), 260) == spelled.end(), "a control token came out of text");
  CHECK(control_token(tokenizer, "control") == 260 && control_token(tokenizer, "he") == -1, "control_token");
}

void test_literals() {
  const Tokenizer tokenizer = byte_level("qwen2", {"<|end|>"}, {"<tool>", "<tool>s", "end", "the end"});
  CHECK(encode(tokenizer, "<tool>") == Ids{261}, "one");
  CHECK(encode(tokenizer, "<tool>s<tool>") == (Ids{262, 261}), "the longest");
  CHECK(encode(tokenizer, "the end") == Ids{264}, "the leftmost");
  CHECK(encode(tokenizer, "<tool") == (Ids{'<', 't', 'o', 'o', 'l'}), "a part of one");
  CHECK(encode(tokenizer, "<|end|>") == (Ids{'<', '|', 'e', 'n', 'd', '|', '>'}), "control tokens are text");
  CHECK(encode(tokenizer, "|end|") == (Ids{'|', 263, '|'}), "inside");
  CHECK(token_bytes(tokenizer, 261) == "<tool>" && token_bytes(tokenizer, 260).empty(), "bytes");
}

// BPE the slow way: the lowest rank, then the leftmost, until nothing merges.
Ids slow_merges(const std::vector<std::pair<int32_t, int32_t>>& merges, Ids ids) {
  while (true) {
    size_t best = merges.size(), place = 0;
    for (size_t at = 0; at + 1 < ids.size(); ++at) {
      const auto found = std::find(merges.begin(), merges.end(), std::pair(ids[at], ids[at + 1]));
      const auto rank = static_cast<size_t>(found - merges.begin());
      if (rank < best) {
        best = rank;
        place = at;
      }
    }
    if (best == merges.size()) return ids;
    ids[place] = 256 + static_cast<int32_t>(best);
    ids.erase(ids.begin() + static_cast<int64_t>(place) + 1);
  }
}

void test_random_merges() {
  uint64_t state = 88172645463325252u;
  const auto random = [&state](uint64_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
  };
  for (int round = 0; round < 50; ++round) {
    std::vector<std::string> tokens, texts;
    for (int byte = 0; byte < 256; ++byte) tokens.push_back(spelled_byte(byte));
    std::vector<std::pair<int32_t, int32_t>> merges;
    for (int i = 0; i < 60; ++i) {
      const auto pick = [&] { return random(2) ? 'a' + random(3) : 256 + random(merges.size() + 1); };
      const uint64_t left = pick(), right = pick();
      if (left >= tokens.size() || right >= tokens.size()) continue;
      const std::string joined = tokens[left] + tokens[right];
      if (joined.size() > 12 || std::find(tokens.begin(), tokens.end(), joined) != tokens.end()) continue;
      texts.push_back(tokens[left] + " " + tokens[right]);
      merges.emplace_back(left, right);
      tokens.push_back(joined);
    }
    TestFile file;
    add(file, "tokenizer.ggml.model", "gpt2");
    add(file, "tokenizer.ggml.pre", "qwen2");
    add(file, "tokenizer.ggml.tokens", tokens);
    add(file, "tokenizer.ggml.merges", texts);
    const Tokenizer tokenizer = tokenizer_of(file);
    for (int word = 0; word < 40; ++word) {
      std::string text;
      for (uint64_t length = 1 + random(40); length > 0; --length) text += static_cast<char>('a' + random(3));
      CHECK(encode(tokenizer, text) == slow_merges(merges, Ids(text.begin(), text.end())), "%s", text.c_str());
    }
  }
}

void test_long_words() {
  const Tokenizer tokenizer = byte_level("qwen2");
  std::string text(1 << 20, 'l');
  CHECK(encode(tokenizer, text).size() == text.size() / 2, "a word of 1 MiB");
  text.assign(1 << 20, ' ');
  CHECK(encode(tokenizer, text).size() == text.size(), "spaces");
}

void test_pieces() {
  TestFile file;
  // The pieces' scores fall in this order: 259 is the first.
  add_pieces(file, {"▁", "a", "b", "ab", "▁a", "▁ab", "bc", "c"});
  const Tokenizer tokenizer = tokenizer_of(file);
  CHECK(encode(tokenizer, "ab") == Ids{264}, "the space before a text");
  CHECK(encode(tokenizer, "abc ab") == (Ids{264, 266, 264}), "words");
  CHECK(encode(tokenizer, "bc") == (Ids{259, 265}), "the best score first");
  CHECK(encode(tokenizer, "é") == (Ids{259, 3 + 0xc3, 3 + 0xa9}), "bytes");
  CHECK(encode(tokenizer, "<0x41>").size() == 7, "the spelling of a byte is text");
  CHECK(encode(tokenizer, "").empty(), "nothing");
  CHECK(decode(tokenizer, encode(tokenizer, "ab  é\n")) == " ab  é\n", "decoding");
  CHECK(token_bytes(tokenizer, 0).empty() && token_bytes(tokenizer, 1).empty(), "unknown and control tokens");
  CHECK(tokenizer.strips_first_space, "strips_first_space");
  add(file, "tokenizer.ggml.add_space_prefix", false);
  CHECK(encode(tokenizer_of(file), "ab") == Ids{262}, "no space before a text");
  file = TestFile{};
  add_pieces(file, {"▁", "a", "a▁", "▁a", "a▁a"});
  CHECK(!tokenizer_of(file).pieces.splits_at_spaces, "a piece over a space");
  CHECK(encode(tokenizer_of(file), "a a") == (Ids{259, 263}), "merged over a space");
  file = TestFile{};
  file.skipped = "tokenizer.ggml.scores";
  add_pieces(file, {"▁", "a", "aa"});
  file.skipped.clear();
  add(file, "tokenizer.ggml.scores", std::vector<float>(262, 0.0f));
  CHECK(encode(tokenizer_of(file), "aaa") == (Ids{259, 261, 260}), "the leftmost of equals");
}

// Pieces with one byte's token gone and this token for what is unknown.
TestFile pieces_without_a_byte(uint32_t unknown) {
  TestFile file;
  file.skipped = "tokenizer.ggml.unknown_token_id";
  add_pieces(file, {"▁"});
  file.skipped.clear();
  const std::string gone = "<0xC3>";
  file.pairs.replace(file.pairs.find(gone), gone.size(), "<0xc3>");
  const int32_t byte = 6, normal = 1;
  std::string types;
  for (int i = 0; i < 256; ++i) put(types, byte);
  put(types, normal);
  std::memcpy(file.pairs.data() + file.pairs.find(types) + 0xc3 * sizeof byte, &normal, sizeof normal);
  add(file, "tokenizer.ggml.unknown_token_id", unknown);
  return file;
}

void test_unknown() {
  CHECK(encode(tokenizer_of(pieces_without_a_byte(0)), "é") == (Ids{259, 0}), "the unknown token");
  expect_error(pieces_without_a_byte(2), "every byte needs a token");  // </s> must not come out of text
  expect_error(pieces_without_a_byte(260), "unknown_token_id 260; a token's id is needed");
}

void test_invalid_text() {
  const Tokenizer tokenizer = byte_level("qwen2");
  const std::map<std::string, int> texts = {{"\xff", 0},         {"ab\xc3", 2},          {"\xc0\x80", 0},
                                            {"a\xed\xa0\x80", 1}, {"\xf4\x90\x80\x80", 0}, {"\xe0\x9f\xbf", 0},
                                            {"가\x80", 3},        {"\xf0\x8f\xbf\xbf", 0}, {"0123456789\xe1\x80", 10}};
  for (const auto& [text, place] : texts) {
    std::string message;
    try {
      encode(tokenizer, text);
    } catch (const Error& error) {
      message = error.what();
    }
    CHECK(message.find("byte " + std::to_string(place) + " is not UTF-8") != std::string::npos, "%s", message.c_str());
  }
  for (const int32_t id : {-1, 260}) {
    bool has_thrown = false;
    try {
      token_bytes(tokenizer, id);
    } catch (const Error&) {
      has_thrown = true;
    }
    CHECK(has_thrown, "token %d has bytes", id);
  }
}

// A byte-level tokenizer with one key given another value.
template <typename T>
TestFile with(const std::string& key, T value) {
  TestFile file;
  file.skipped = key;
  add_byte_level(file, "qwen2", {"<|end|>"}, {});
  file.skipped.clear();
  add(file, key, value);
  return file;
}

void test_errors() {
  using Texts = std::vector<std::string>;
  expect_error(with("tokenizer.ggml.model", "bert"), "'bert'; gpt2 (byte-level BPE) and llama");
  expect_error(with("tokenizer.ggml.pre", "falcon"), "pre-tokenizer: 'falcon'; known: qwen2, llama-bpe, gpt-2, smollm");
  expect_error(with("tokenizer.ggml.tokens", Texts{}), "an array of 0");
  expect_error(with("tokenizer.ggml.tokens", Texts{"a", "a"}), "one type a token is needed");
  expect_error(with("tokenizer.ggml.token_type", std::vector<int32_t>{1, 1}), "one type a token is needed");
  expect_error(with("tokenizer.ggml.token_type", std::vector<int32_t>(261, 7)), "of token 0; 0 to 6 are known");
  expect_error(with("tokenizer.ggml.token_type", std::vector<float>(261, 1.0f)), "0 to 6 are known");
  expect_error(with("tokenizer.ggml.merges", Texts{"th"}), "two tokens with one space between");
  expect_error(with("tokenizer.ggml.merges", Texts{"t h e"}), "two tokens with one space between");
  expect_error(with("tokenizer.ggml.merges", Texts{"t x"}), "its parts and its result must be tokens");
  expect_error(with("tokenizer.ggml.merges", Texts{"zz h"}), "its parts and its result must be tokens");
  expect_error(with("tokenizer.ggml.merges", Texts{" the"}), "its parts and its result must be tokens");
  expect_error(with("tokenizer.ggml.merges", std::vector<int32_t>{1}), "strings is needed");
  expect_error(with("tokenizer.ggml.bos_token_id", uint32_t{261}), "below the vocabulary's size (261)");
  expect_error(with("tokenizer.ggml.padding_token_id", -5), "below the vocabulary's size (261)");
  expect_error(with("tokenizer.ggml.add_bos_token", uint32_t{1}), "true or false is needed");
  TestFile file;
  add_byte_level(file, "qwen2", {"<|end|>"}, {"<|end|>"});
  expect_error(file, "two ids share one spelling");
  file = TestFile{};
  add_byte_level(file, "qwen2", {}, {std::string(257, 'x')});
  expect_error(file, "at most 256 bytes");
  file = TestFile{};
  file.skipped = "tokenizer.ggml.scores";
  add_pieces(file, {"a"});
  expect_error(file, "tokenizer.ggml.scores missing");
  file.skipped.clear();
  add(file, "tokenizer.ggml.scores", std::vector<float>(260, NAN));
  expect_error(file, "finite numbers are needed");
}

void test_special_ids() {
  TestFile file = with("tokenizer.ggml.bos_token_id", uint32_t{260});
  CHECK(tokenizer_of(file).bos == 260 && !tokenizer_of(file).adds_bos && tokenizer_of(file).eos == -1, "ids");
  add(file, "tokenizer.ggml.add_bos_token", true);
  CHECK(tokenizer_of(file).adds_bos, "add_bos_token");
  CHECK(!tokenizer_of(with("tokenizer.ggml.add_bos_token", true)).adds_bos, "no token to add");
}

}  // namespace
}  // namespace dotori::test

int main() {
  using namespace dotori::test;
  test_words();
  test_classes();
  test_merges();
  test_whole_words();
  test_literals();
  test_random_merges();
  test_long_words();
  test_pieces();
  test_unknown();
  test_invalid_text();
  test_errors();
  test_special_ids();
  return report("tokenizer");
}
