"""The slow oracle: tokens one after another with a KV cache, and many greedy answers at once.

Every faster runtime must repeat what stands here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import torch

from dotori.errors import UserError
from dotori.model.config import ModelConfig
from dotori.model.kv_cache import KVCache
from dotori.model.sampling import Sampling, sample
from dotori.model.transformer import Transformer

# Rows that decode together. More gain nothing on a CPU and cost cache memory.
_BATCH_ROWS = 64
# A text may end long before its limit, and a foreign model's context may be worth gigabytes of cache.
_FIRST_ROOM = 256


def check_prompt(config: ModelConfig, ids: Sequence[int], max_tokens: int) -> None:
    """Raises UserError for an empty prompt, ids beyond the vocabulary, or more tokens than the context holds."""
    context = config.max_position_embeddings
    if not ids:
        raise UserError("prompt: no tokens; at least one is needed; begin with the BOS token")
    if min(ids) < 0 or max(ids) >= config.vocab_size:
        wrong = next(index for index in ids if not 0 <= index < config.vocab_size)
        raise UserError(f"prompt: token id {wrong}; 0 to {config.vocab_size - 1}; use this model's own tokenizer")
    if max_tokens < 0:
        raise UserError(f"max_tokens: {max_tokens}; 0 or more; correct it")
    if len(ids) + max_tokens > context:
        raise UserError(
            f"context: {len(ids)} prompt tokens and {max_tokens} new ones; this model holds {context}; "
            f"ask for at most {max(context - len(ids), 0)} or shorten the prompt"
        )


def generate(
    model: Transformer, ids: Sequence[int], max_tokens: int, sampling: Sampling, stop_ids: Collection[int] = ()
) -> Iterator[int]:
    """At most `max_tokens` ids after the prompt `ids`, ending before one of `stop_ids`.

    The same arguments give the same ids. Raises UserError as `check_prompt` does, before the first id.
    """
    check_prompt(model.config, ids, max_tokens)
    return _generate(model, list(ids), max_tokens, sampling, frozenset(stop_ids))


def _generate(
    model: Transformer, ids: list[int], max_tokens: int, sampling: Sampling, stop_ids: frozenset[int]
) -> Iterator[int]:
    weight = model.model.embed_tokens.weight
    limit = len(ids) + max_tokens
    cache = KVCache(model.config, 1, min(limit, len(ids) + _FIRST_ROOM), weight.dtype, weight.device)
    fresh = ids
    for _ in range(max_tokens):
        if cache.length + len(fresh) > cache.capacity:
            cache = _grown(cache, model.config, min(limit, 2 * cache.capacity))
        logits = _last_logits(model, torch.tensor([fresh], device=weight.device), cache)[0]
        index = sample(logits.float().cpu().numpy(), sampling, len(ids), ids)
        if index in stop_ids:
            return
        yield index
        ids, fresh = [*ids, index], [index]


def _grown(cache: KVCache, config: ModelConfig, capacity: int) -> KVCache:
    larger = KVCache(config, 1, capacity, cache.keys.dtype, cache.keys.device)
    larger.keys[:, :, :, : cache.length] = cache.keys[:, :, :, : cache.length]
    larger.values[:, :, :, : cache.length] = cache.values[:, :, :, : cache.length]
    larger.length = cache.length
    return larger


@torch.inference_mode()
def _last_logits(model: Transformer, ids: torch.Tensor, cache: KVCache) -> torch.Tensor:
    """Logits (B, V) after the last of `ids` (B, T), which join the cache."""
    return model.logits(model.hidden(ids, None, cache)[:, -1])


def generate_batch(
    model: Transformer, prompts: Sequence[Sequence[int]], max_tokens: int, stop_ids: Collection[int] = ()
) -> list[list[int]]:
    """Greedy continuations of each prompt, without the stop token; a row ends where the context does.

    Prompts of like length run together, all rows always at one position: while a row's prompt lasts it is fed its own
    next token, afterwards the one it chose. So nothing is padded and every row computes what it would alone. Raises
    UserError as `check_prompt` does.
    """
    for prompt in prompts:
        check_prompt(model.config, prompt, 0)
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    answers: list[list[int]] = [[] for _ in prompts]
    for first in range(0, len(order), _BATCH_ROWS):
        rows = order[first : first + _BATCH_ROWS]
        found = _generate_rows(model, [prompts[row] for row in rows], max_tokens, frozenset(stop_ids))
        for row, answer in zip(rows, found, strict=True):
            answers[row] = answer
    return answers


def _generate_rows(
    model: Transformer, prompts: list[Sequence[int]], max_tokens: int, stop_ids: frozenset[int]
) -> list[list[int]]:
    weight = model.model.embed_tokens.weight
    lengths = np.array([len(prompt) for prompt in prompts])
    ends = np.minimum(lengths + max_tokens, model.config.max_position_embeddings)
    ids = np.zeros((len(prompts), int(ends.max())), np.int64)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = prompt
    cache = KVCache(model.config, len(prompts), int(ends.max()), weight.dtype, weight.device)
    done, position = 0, int(lengths.min())
    while position < ends.max():
        fresh = torch.from_numpy(ids[:, done:position]).to(weight.device)
        chosen = _last_logits(model, fresh, cache).argmax(-1).cpu().numpy()
        own = position >= lengths
        ended = own & np.isin(chosen, list(stop_ids))
        ends[ended] = np.minimum(ends[ended], position)
        ids[own, position] = chosen[own]
        done, position = position, position + 1
    return [ids[row, lengths[row] : ends[row]].tolist() for row in range(len(prompts))]
