#include "kernels/simd/neon_dotprod.h"

#include "kernels/matmul/isa_table.h"
#include "kernels/matmul/layouts.h"
#include "kernels/quantize/isa_table.h"
#include "kernels/sparse_ffn/isa_table.h"
#include "kernels/sparse_ffn/layouts.h"
#include "kernels/sparse_ffn/words_neon_dotprod.h"

namespace dotori::neon_dotprod {

#include "kernels/sparse_ffn/body.h"
#include "kernels/sparse_ffn/panels_body.h"

}  // namespace dotori::neon_dotprod
