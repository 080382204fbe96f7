// What this processor can run, asked once from the processor itself.
#pragma once

namespace dotori {

bool has_avx2();          // with FMA and F16C
bool has_avx512_vnni();   // with F, BW, DQ and VL
bool has_neon_dotprod();

}  // namespace dotori
