// The matrix products of every instruction set.
#pragma once

#include <type_traits>

#include "kernels/matmul/matmul.h"

namespace dotori {

using MatmulFunction = std::remove_pointer_t<Matmul>;

namespace reference {
MatmulFunction matmul_f32, matmul_f16, matmul_bf16, matmul_q8_0, matmul_q4_0, matmul_q4_k, matmul_q6_k;
}
namespace avx2 {
MatmulFunction matmul_f32, matmul_f16, matmul_bf16, matmul_q8_0, matmul_q4_0, matmul_q4_k, matmul_q6_k;
}
namespace avx512_vnni {
MatmulFunction matmul_f32, matmul_f16, matmul_bf16, matmul_q8_0, matmul_q4_0, matmul_q4_k, matmul_q6_k;
}
namespace neon_dotprod {
MatmulFunction matmul_f32, matmul_f16, matmul_bf16, matmul_q8_0, matmul_q4_0, matmul_q4_k, matmul_q6_k;
}

}  // namespace dotori
