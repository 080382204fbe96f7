// The sparse expert of every instruction set.
#pragma once

#include <type_traits>

#include "kernels/sparse_ffn/sparse_ffn.h"

namespace dotori {

using SparseFfnFunction = std::remove_pointer_t<SparseFfn>;

namespace reference {
SparseFfnFunction sparse_ffn;
}
namespace avx2 {
SparseFfnFunction sparse_ffn;
}
namespace avx512_vnni {
SparseFfnFunction sparse_ffn;
}
namespace neon_dotprod {
SparseFfnFunction sparse_ffn;
}

}  // namespace dotori
