#include "kernels/simd/avx512_vnni.h"

#include "kernels/matmul/isa_table.h"
#include "kernels/matmul/layouts.h"
#include "kernels/quantize/isa_table.h"
#include "kernels/sparse_ffn/isa_table.h"
#include "kernels/sparse_ffn/layouts.h"
#include "kernels/sparse_ffn/words_avx512_vnni.h"

namespace dotori::avx512_vnni {

#include "kernels/sparse_ffn/body.h"
#include "kernels/sparse_ffn/panels_body.h"

}  // namespace dotori::avx512_vnni
