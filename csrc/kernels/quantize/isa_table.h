// The quantization of activations of every instruction set.
#pragma once

#include <type_traits>

#include "kernels/quantize/quantize.h"

namespace dotori {

using QuantizeFunction = std::remove_pointer_t<Quantize>;

namespace reference {
QuantizeFunction quantize;
}
namespace avx2 {
QuantizeFunction quantize;
}
namespace avx512_vnni {
QuantizeFunction quantize;
}
namespace neon_dotprod {
QuantizeFunction quantize;
}

}  // namespace dotori
