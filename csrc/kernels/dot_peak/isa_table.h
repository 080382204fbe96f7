#pragma once

#include "kernels/dot_peak/dot_peak.h"

namespace dotori {
namespace reference {
int32_t dot_peak(int64_t rounds);
}
namespace avx2 {
int32_t dot_peak(int64_t rounds);
}
namespace avx512_vnni {
int32_t dot_peak(int64_t rounds);
}
namespace neon_dotprod {
int32_t dot_peak(int64_t rounds);
}
}  // namespace dotori
