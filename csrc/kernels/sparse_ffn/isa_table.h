// The sparse expert of every instruction set.
#pragma once

#include <type_traits>

#include "kernels/sparse_ffn/sparse_ffn.h"

namespace dotori {

using SparseFfnFunction = std::remove_pointer_t<SparseFfn>;
using SparsePanelsFunction = std::remove_pointer_t<SparsePanels>;

namespace reference {
SparseFfnFunction sparse_ffn;
SparsePanelsFunction up_panels, down_panels;
}
namespace avx2 {
SparseFfnFunction sparse_ffn;
SparsePanelsFunction up_panels, down_panels;
}
namespace avx512_vnni {
SparseFfnFunction sparse_ffn;
SparsePanelsFunction up_panels, down_panels;
}
namespace neon_dotprod {
SparseFfnFunction sparse_ffn;
SparsePanelsFunction up_panels, down_panels;
}

}  // namespace dotori
