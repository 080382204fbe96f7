// Rotary position embedding of one head's vector, in place.
//
// `neighbours` turns pairs (2i, 2i + 1), as llama.cpp stores Llama, Granite and MiniCPM; otherwise pairs
// (i, i + H / 2), as Qwen and SmallThinker have it. Angles come as tables made once per token: cosine and sine (H / 2).
// H is even.
#pragma once

namespace dotori {

using Rope = void (*)(float* x, int head_dim, const float* cosine, const float* sine, bool neighbours);

}  // namespace dotori
