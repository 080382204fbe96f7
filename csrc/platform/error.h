// The one exception of the core. Loading and session code throw it with a whole message (`what: value; rule; what to
// do`); kernels never throw. The bindings turn it into dotori.errors.UserError.
#pragma once

#include <stdexcept>
#include <string>

namespace dotori {

struct Error : std::runtime_error {
  explicit Error(const std::string& message) : std::runtime_error(message) {}
};

}  // namespace dotori
