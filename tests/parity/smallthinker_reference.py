"""SmallThinker's forward pass in NumPy, from its description (arXiv 2507.20984) and llama.cpp's conventions: the oracle
for an architecture that neither transformers nor our trainable model has."""

import numpy as np

from dotori.checkpoint.gguf_file import GGUFFile


def rms_norm(x, gain, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * gain


def rotate(x, theta):
    """x (T, heads, H): pairs (i, i + H / 2)."""
    half = x.shape[-1] // 2
    angle = np.arange(len(x))[:, None] * theta ** (-np.arange(half) / half)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def attention(q, k, v, window):
    """q (T, N, H), k and v (T, K, H); window 0 sees all."""
    tokens, heads, size = q.shape
    group = heads // k.shape[1]
    k, v = np.repeat(k, group, 1), np.repeat(v, group, 1)
    scores = np.einsum("tnh,snh->nts", q, k) / np.sqrt(size)
    t, s = np.arange(tokens)[:, None], np.arange(tokens)[None]
    seen = (s <= t) & ((s > t - window) if window else True)
    scores = np.where(seen, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return np.einsum("nts,snh->tnh", weights, v).reshape(tokens, -1)


def experts(x, routing, up, gate, down, used, is_sigmoid):
    """x (T, D); routing (T, E); up and gate (E, F, D), down (E, D, F)."""
    out = np.zeros_like(x)
    for t, logits in enumerate(routing):
        chosen = np.argsort(-logits, kind="stable")[:used]
        weight = 1 / (1 + np.exp(-logits[chosen])) if is_sigmoid else np.exp(logits[chosen] - logits.max())
        for e, w in zip(chosen, weight / weight.sum(), strict=True):
            out[t] += w * (down[e] @ (np.maximum(gate[e] @ x[t], 0) * (up[e] @ x[t])))
    return out


def logits(file: GGUFFile, ids: list[int]) -> np.ndarray:
    """Logits (T, V), float64, of a `smallthinker` file."""
    number = {key.removeprefix("smallthinker."): value for key, value in file.metadata.items()}
    heads, kv_heads, size = (
        number["attention.head_count"],
        number["attention.head_count_kv"],
        number["attention.key_length"],
    )
    eps, has_windows = number["attention.layer_norm_rms_epsilon"], number.get("attention.sliding_window", 0) > 0

    def tensor(name):
        return file.read(name).astype(np.float64)

    x = tensor("token_embd.weight")[ids]
    for layer in range(number["block_count"]):
        w = {
            name.split(".", 2)[2].removesuffix(".weight"): tensor(name)
            for name in file.tensors
            if name.startswith(f"blk.{layer}.")
        }
        routing = x @ w["ffn_gate_inp"].T
        y = rms_norm(x, w["attn_norm"], eps)
        q, k, v = (y @ w[f"attn_{name}"].T for name in "qkv")
        q, k, v = q.reshape(-1, heads, size), k.reshape(-1, kv_heads, size), v.reshape(-1, kv_heads, size)
        is_global = has_windows and layer % 4 == 0
        if not is_global:
            q, k = rotate(q, number["rope.freq_base"]), rotate(k, number["rope.freq_base"])
        # llama.cpp takes 4096 whatever the file says.
        x = x + attention(q, k, v, 4096 if has_windows and not is_global else 0) @ w["attn_output"].T
        y = rms_norm(x, w["ffn_norm"], eps)
        gate, up, down = w["ffn_gate_exps"], w["ffn_up_exps"], w["ffn_down_exps"]
        used, is_sigmoid = number["expert_used_count"], number["expert_gating_func"] == 2
        x = x + experts(y, routing, up, gate, down, used, is_sigmoid)
    x = rms_norm(x, tensor("output_norm.weight"), eps)
    return x @ tensor("output.weight" if "output.weight" in file.tensors else "token_embd.weight").T
