"""The one Protocol: what an evaluation needs from a model, whatever runs it."""

from __future__ import annotations

from typing import Protocol


class Scorer(Protocol):
    """A model that can be asked for likelihoods and continuations; both sessions of runtime/ satisfy it."""

    context: int
    bos_id: int | None
    eos_id: int | None

    def tokenize(self, text: str) -> list[int]:
        """Token ids of `text`; special-token strings inside it are plain text, no BOS is added."""
        ...

    def detokenize(self, ids: list[int]) -> str:
        """Text of `ids`; special tokens give nothing."""
        ...

    def loglikelihood(self, sequences: list[list[int]], starts: list[int]) -> list[float]:
        """For each sequence the sum of natural-log probabilities of its tokens from index `start` >= 1 on."""
        ...

    def generate_batch(self, prompts: list[list[int]], max_tokens: int, stop_ids: list[int]) -> list[list[int]]:
        """Greedy continuations without the stop token, one per prompt."""
        ...
