"""A loaded model on PyTorch, with the interface that the native runtime shares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from dotori.checkpoint.folder import read_model
from dotori.errors import UserError
from dotori.files import read_json
from dotori.model.generate import check_prompt, generate, generate_batch
from dotori.model.sampling import Sampling
from dotori.model.transformer import Transformer
from dotori.runtime.stop import StopStrings, before_stop, ends_of_text
from dotori.tokenizer.chat import Message, encode_chat
from dotori.tokenizer.load import Tokenizer, load_tokenizer

# Positions that run together, and logits held at once: 4 bytes each, a few copies, well within 1 GB.
_BATCH_TOKENS = 8192
_CHUNK_LOGITS = 1 << 23


class TorchSession:
    """A model and its tokenizer; satisfies the Scorer protocol.

    Attributes: `context` (tokens it holds), `vocab_size`, `bos_id`, `eos_id` (None where absent), `stop_ids` (ids that
    end a text: EOS, BOS of a next document, ends of an assistant's turn), `lineage` (dict or None), `metadata` (a GGUF
    file's, else empty).
    """

    def __init__(
        self, model: Transformer, tokenizer: Tokenizer, lineage: dict | None = None, metadata: dict | None = None
    ) -> None:
        """Raises UserError when the tokenizer has ids that the model has no embedding for."""
        if tokenizer.vocab_size > model.config.vocab_size:
            raise UserError(
                f"{tokenizer.where}: {tokenizer.vocab_size} tokens, the model embeds {model.config.vocab_size}; "
                "they must belong together; restore the folder"
            )
        self.model = model.eval()
        self.tokenizer = tokenizer
        tokenizer.rows = model.config.vocab_size
        self.lineage = lineage
        self.metadata = metadata or {}
        self.config = model.config
        self.context: int = model.config.max_position_embeddings
        self.vocab_size: int = model.config.vocab_size
        self.bos_id = tokenizer.bos_id if tokenizer.bos_id is not None else model.config.bos_token_id
        ends = model.config.eos_token_id
        eos_ids = ends if isinstance(ends, tuple) else () if ends is None else (ends,)
        self.eos_id = tokenizer.eos_id if tokenizer.eos_id is not None else next(iter(eos_ids), None)
        self.stop_ids: list[int] = ends_of_text(tokenizer, (*eos_ids, self.bos_id, self.eos_id))

    def tokenize(self, text: str) -> list[int]:
        """Ids of `text`; special-token strings inside it are plain text, no BOS is added."""
        return self.tokenizer.encode(text)

    def detokenize(self, ids: Sequence[int]) -> str:
        """Text of `ids`; special tokens give nothing."""
        return self.tokenizer.decode(ids)

    def chat(self, messages: Sequence[Message]) -> list[int]:
        """The prompt ids of a conversation, up to where the assistant speaks next."""
        return encode_chat(self.tokenizer, messages, add_generation_prompt=True).ids

    def generate(
        self,
        ids: Sequence[int],
        max_tokens: int | None = None,
        temperature: float = 0.0,
        seed: int = 0,
        stop: str | Sequence[str] | None = None,
        ignore_eos: bool = False,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
    ) -> Iterator[int]:
        """Ids after the prompt `ids`, as they come; the meaning of the settings is in `dotori.model.sampling`.

        Ends at `max_tokens` (None: the end of the context), before one of `stop_ids` unless `ignore_eos`, and before a
        `stop` string wherever token borders fall. Raises UserError, before the first id, for impossible settings or a
        prompt and `max_tokens` beyond the context.
        """
        sampling = Sampling(temperature, top_k, top_p, min_p, repetition_penalty, seed)
        ids = list(ids)
        limit = max(self.context - len(ids), 0) if max_tokens is None else max_tokens
        found = generate(self.model, ids, limit, sampling, () if ignore_eos else self.stop_ids)
        strings = [stop] if isinstance(stop, str) else list(stop or [])
        return before_stop(found, StopStrings(self.tokenizer, strings)) if strings else found

    def generate_batch(
        self, prompts: Sequence[Sequence[int]], max_tokens: int, stop_ids: Sequence[int] | None = None
    ) -> list[list[int]]:
        """Greedy continuations without the stop token, one per prompt; a row ends where the context does."""
        return generate_batch(self.model, prompts, max_tokens, self.stop_ids if stop_ids is None else stop_ids)

    @torch.inference_mode()
    def logits(self, ids: Sequence[int]) -> np.ndarray:
        """Logits float32 (tokens, vocab) after each of `ids`; raises UserError beyond the context."""
        check_prompt(self.config, ids, 0)
        return self.model(torch.tensor([list(ids)], device=self._device))[0].float().cpu().numpy()

    @torch.inference_mode()
    def loglikelihood(self, sequences: Sequence[Sequence[int]], starts: Sequence[int]) -> list[float]:
        """For each sequence the sum of natural-log probabilities of its tokens from index `start` >= 1 on.

        A sequence holds at most `context` tokens. Sequences of like length run together. Raises UserError.
        """
        for sequence, start in zip(sequences, starts, strict=True):
            check_prompt(self.config, sequence, 0)
            if start < 1:
                raise UserError(f"loglikelihood: start {start}; 1 or more, since the first token has nothing before it")
        order = sorted(range(len(sequences)), key=lambda row: len(sequences[row]), reverse=True)
        sums = np.zeros(len(sequences))
        while order:
            rows = order[: max(1, _BATCH_TOKENS // len(sequences[order[0]]))]
            order = order[len(rows) :]
            sums[rows] = self._score([sequences[row] for row in rows], [starts[row] for row in rows])
        return sums.tolist()

    @property
    def _device(self) -> torch.device:
        return self.model.model.embed_tokens.weight.device

    def _score(self, sequences: list[Sequence[int]], starts: list[int]) -> np.ndarray:
        """Sums (rows,) float64. Rows are padded on the right, which a causal model does not see."""
        longest = max(len(sequence) for sequence in sequences)
        ids = torch.zeros((len(sequences), longest), dtype=torch.long)
        wanted = torch.zeros((len(sequences), longest), dtype=torch.bool)
        for row, (sequence, start) in enumerate(zip(sequences, starts, strict=True)):
            ids[row, : len(sequence)] = torch.as_tensor(sequence)
            wanted[row, start : len(sequence)] = True
        ids, wanted = ids.to(self._device), wanted.to(self._device)
        hidden = self.model.hidden(ids[:, :-1])[wanted[:, 1:]]
        targets = ids[:, 1:][wanted[:, 1:]]
        rows_of = wanted[:, 1:].nonzero()[:, 0].cpu().numpy()
        size = max(1, _CHUNK_LOGITS // self.vocab_size)
        values = np.concatenate(
            [self._log_probabilities(hidden[i : i + size], targets[i : i + size]) for i in range(0, len(targets), size)]
            or [np.zeros(0)]
        )
        return np.bincount(rows_of, weights=values, minlength=len(sequences))

    def _log_probabilities(self, hidden: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
        logits = self.model.logits(hidden).float()
        chosen = logits.gather(1, targets[:, None])[:, 0]
        return (chosen - logits.logsumexp(1)).double().cpu().numpy()


def open_folder(path: Path, threads: int | None, budget_bytes: int | None, context: int | None) -> TorchSession:
    """The model folder at `path`; on a GPU where PyTorch has one, else on the CPU. `open_model` tells the rest."""
    if threads is not None:
        torch.set_num_threads(threads)
    model, _ = read_model(path)
    lineage = read_json(path / "lineage.json", "lineage") if (path / "lineage.json").is_file() else None
    placed = model.float().to("cuda" if torch.cuda.is_available() else "cpu")
    session = TorchSession(placed, load_tokenizer(path), lineage)
    if context is not None:
        if not 1 <= context <= session.context:
            raise UserError(f"context: {context}; 1 to {session.context} for this model; correct it")
        session.context = context
    if budget_bytes is not None:
        _check_memory(session, budget_bytes)
    return session


def _check_memory(session: TorchSession, budget_bytes: int) -> None:
    config = session.config
    weights = sum(tensor.numel() * tensor.element_size() for tensor in session.model.parameters())
    cache = 2 * 4 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * session.context
    if weights + cache > budget_bytes:
        raise UserError(
            f"memory: {budget_bytes / 1e6:.1f} MB allowed, weights take {weights / 1e6:.1f} MB and a full context "
            f"{cache / 1e6:.1f} MB; allow more or use a smaller model"
        )
