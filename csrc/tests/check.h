// What C++ tests need: CHECK(condition, printf-style message) counts failures, and main returns report().
#pragma once

#include <cstdio>

namespace dotori::test {

inline int failures = 0;

inline int report(const char* name) {
  std::printf("%s: %s\n", name, failures ? "FAILED" : "passed");
  return failures ? 1 : 0;
}

}  // namespace dotori::test

#define CHECK(condition, ...)                                                \
  do {                                                                       \
    if (!(condition)) {                                                      \
      ++dotori::test::failures;                                              \
      std::fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);   \
      std::fprintf(stderr, __VA_ARGS__);                                     \
      std::fprintf(stderr, "\n");                                            \
    }                                                                        \
  } while (0)
