"""A GGUF file on the native core: weights laid out for this processor, one cache per session, nothing from PyTorch.

Only this module, batch.py and doctor.py know the compiled `_core`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import dotori.runtime._core as _core
from dotori.checkpoint.gguf_file import GGUFFile
from dotori.checkpoint.gguf_tokenizer import tokenizer_of
from dotori.errors import UserError
from dotori.files import read_json
from dotori.model.sampling import Sampling
from dotori.runtime.stop import StopStrings, before_stop, ends_of_text
from dotori.tokenizer.chat import Message, encode_chat
from dotori.tokenizer.load import Tokenizer

# Tokens between two looks at the keyboard while a prompt is read.
_PROMPT_CHUNK = 512


@contextmanager
def core_errors() -> Iterator[None]:
    """The core's errors as ours."""
    try:
        yield
    except _core.CoreError as error:
        raise UserError(str(error)) from None


class Session:
    """A model of a GGUF file and the tokens it has read; satisfies the Scorer protocol.

    What a prompt shares with the tokens read before is not read again. Attributes: `context` (tokens it holds),
    `vocab_size`, `bos_id`, `eos_id` (None where absent), `threads`, `isa` (the instruction set in use).
    """

    def __init__(self, path: Path, threads: int, memory_bytes: int = 0, context: int | None = None) -> None:
        """Reads the weights. `memory_bytes` 0 sets no limit. Raises UserError for a file that cannot be run."""
        self.path, self.threads = path, threads
        self._identity = _identity(path)
        with core_errors():
            self._model = _core.open(str(path), threads, memory_bytes, context or 0)
        self._begin(context)

    def _begin(self, context: int | None) -> None:
        shape = self._model.shape
        self.vocab_size: int = shape["vocab_size"]
        self.bos_id = shape["bos_id"] if shape["bos_id"] >= 0 else None
        self.eos_id = shape["eos_id"] if shape["eos_id"] >= 0 else None
        self.isa: str = self._model.isa
        with core_errors():
            self._core = _core.Session(self._model, context or shape["context_length"])
        self.context: int = self._core.context
        self._reader: object = None

    def fork(self) -> Session:
        """Another session over the same weights, with nothing read yet; both may be used from different threads."""
        other = object.__new__(Session)
        other.path, other.threads, other._identity, other._model = (
            self.path,
            self.threads,
            self._identity,
            self._model,
        )
        other._begin(self.context)
        return other

    def core_sessions(self, count: int) -> list[_core.Session]:
        """Empty texts of this session's context over its weights, for `dotori.runtime.batch`."""
        with core_errors():
            return [_core.Session(self._model, self.context) for _ in range(count)]

    @property
    def step_room(self) -> int:
        """Ids that one pass through the weights takes at most."""
        return self._model.step_room

    @cached_property
    def _file(self) -> GGUFFile:
        if _identity(self.path) != self._identity:
            raise UserError(f"{self.path}: changed since it was opened; a file must stay as it is; open it again")
        return GGUFFile(self.path)

    @property
    def metadata(self) -> dict[str, Any]:
        """The file's metadata."""
        return self._file.metadata

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The file's tokenizer."""
        found = tokenizer_of(self._file)
        found.rows = self.vocab_size
        return found

    @cached_property
    def stop_ids(self) -> list[int]:
        """Ids that end a text: EOS, BOS of a next document, ends of an assistant's turn."""
        return ends_of_text(self.tokenizer, (self.bos_id, self.eos_id))

    @cached_property
    def lineage(self) -> dict | None:
        """The lineage beside the file, if there is one."""
        place = self.path.parent / "lineage.json"
        return read_json(place, "lineage") if place.is_file() else None

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
        lookup: bool = False,
        slide: bool = False,
    ) -> Iterator[int]:
        """Ids after the prompt `ids`, as they come; the meaning of the settings is in `dotori.model.sampling`.

        Ends at `max_tokens` (None: the end of the context), before one of `stop_ids` unless `ignore_eos`, and before a
        `stop` string wherever token borders fall. `lookup` guesses from the text so far (prompt lookup): the same ids,
        sooner where text repeats; temperature 0 only. `slide` forgets the older half when the context is full, where
        otherwise prompt and `max_tokens` beyond it are an error. Raises UserError before the first id.
        """
        sampling = Sampling(temperature, top_k, top_p, min_p, repetition_penalty, seed)
        ids = list(ids)
        limit = max(self.context - len(ids), 0) if max_tokens is None else max_tokens
        self.check_prompt(ids, limit, slide)
        if lookup and (temperature != 0 or repetition_penalty != 1):
            raise UserError("lookup: with temperature or repetition_penalty; guesses need greedy decoding; drop one")
        ends = frozenset() if ignore_eos else frozenset(self.stop_ids)
        found = self._greedy_by_lookup(ids, limit, ends) if lookup else self._generate(ids, limit, sampling, ends)
        strings = [stop] if isinstance(stop, str) else list(stop or [])
        return before_stop(found, StopStrings(self.tokenizer, strings)) if strings else found

    def check_prompt(self, ids: list[int], max_tokens: int, slide: bool = False) -> None:
        """Raises UserError unless the prompt `ids` and `max_tokens` new ones fit the vocabulary and the context."""
        if not ids:
            raise UserError("prompt: no tokens; at least one is needed; begin with the BOS token")
        wrong = next((index for index in ids if not 0 <= index < self.vocab_size), None)
        if wrong is not None:
            raise UserError(f"prompt: token id {wrong}; 0 to {self.vocab_size - 1}; use this model's own tokenizer")
        if max_tokens < 0:
            raise UserError(f"max_tokens: {max_tokens}; 0 or more; correct it")
        if len(ids) + (0 if slide else max_tokens) > self.context:
            raise UserError(
                f"context: {len(ids)} prompt tokens and {max_tokens} new ones; this model holds {self.context}; "
                f"ask for at most {max(self.context - len(ids), 0)} or shorten the prompt"
            )

    def _read(self, reader: object, ids: list[int]) -> list[int]:
        """Brings the cache to all of `ids` but the last few, which it returns for the step that wants logits."""
        if self._reader is reader:
            return ids[self._core.length :]
        self._reader = reader
        fresh = ids[self._core.keep_prefix(ids) :]
        while len(fresh) > _PROMPT_CHUNK:
            self._core.append(fresh[:_PROMPT_CHUNK])
            fresh = fresh[_PROMPT_CHUNK:]
        return fresh

    def _generate(self, ids: list[int], max_tokens: int, sampling: Sampling, ends: frozenset[int]) -> Iterator[int]:
        reader, s = object(), sampling
        for _ in range(max_tokens):
            if len(ids) > self.context:
                ids, reader = ids[-(self.context // 2) :], object()
            with core_errors():
                index = self._core.next(
                    self._read(reader, ids), s.temperature, s.top_k, s.top_p, s.min_p, s.repetition_penalty, s.seed
                )
            if index in ends:
                return
            yield index
            ids.append(index)

    def _greedy_by_lookup(self, ids: list[int], max_tokens: int, ends: frozenset[int]) -> Iterator[int]:
        reader, room = object(), max_tokens
        while room > 0:
            with core_errors():
                fresh = self._read(reader, ids)
                if len(fresh) > 1:
                    self._core.append(fresh[:-1])
                found = self._core.next_by_lookup(fresh[-1], room)
            for index in found:
                if index in ends:
                    return
                yield index
                ids.append(index)
            room -= len(found)

    def generate_batch(
        self, prompts: Sequence[Sequence[int]], max_tokens: int, stop_ids: Sequence[int] | None = None
    ) -> list[list[int]]:
        """Greedy continuations without the stop token, one per prompt; a row ends where the context does."""
        ends = frozenset(self.stop_ids if stop_ids is None else stop_ids)
        for prompt in prompts:
            self.check_prompt(list(prompt), 0)
        rooms = [min(max_tokens, self.context - len(prompt)) for prompt in prompts]
        greedy = Sampling()
        return [list(self._generate(list(p), room, greedy, ends)) for p, room in zip(prompts, rooms, strict=True)]

    def logits(self, ids: Sequence[int]) -> np.ndarray:
        """Logits float32 (tokens, vocab) after each of `ids`; raises UserError beyond the context."""
        self.check_prompt(list(ids), 0)
        self._forget()
        with core_errors():
            return self._core.logits(list(ids))

    def loglikelihood(self, sequences: Sequence[Sequence[int]], starts: Sequence[int]) -> list[float]:
        """For each sequence the sum of natural-log probabilities of its tokens from index `start` >= 1 on.

        A sequence holds at most `context` tokens. Raises UserError.
        """
        for sequence, start in zip(sequences, starts, strict=True):
            self.check_prompt(list(sequence), 0)
            if start < 1:
                raise UserError(f"loglikelihood: start {start}; 1 or more, since the first token has nothing before it")
        self._reader = None
        with core_errors():
            return [self._core.loglikelihood(list(s), start) for s, start in zip(sequences, starts, strict=True)]

    def _forget(self) -> None:
        self._reader = None
        self._core.keep_prefix([])

    def bench_prefill(self, tokens: int) -> float:
        """Seconds for a prompt of `tokens` ids and the logits after it."""
        self._forget()
        ids = [(7 * index + 1) % self.vocab_size for index in range(tokens)]
        start = time.perf_counter()
        self._core.next(ids)
        return time.perf_counter() - start

    def bench_decode(self, tokens: int, context: int = 0) -> float:
        """Seconds for `tokens` single steps after `context` ids that are read first; `profile` then tells of them."""
        self._forget()
        if context:
            self._core.append([(7 * index + 1) % self.vocab_size for index in range(context)])
        index = self._core.next([1])
        self._model.start_profile()
        start = time.perf_counter()
        for _ in range(tokens):
            index = self._core.next([index])
        return time.perf_counter() - start

    @property
    def profile(self) -> dict[str, Any]:
        """Of the latest `bench_decode`: seconds by operation, `calls` (tokens), and the `neurons` of chosen experts
        with the `active_neurons` among them."""
        return self._model.profile()

    @property
    def bytes_read(self) -> dict[str, int]:
        """Weight bytes that a decoded token reads, by operation; experts as if every neuron were active."""
        return self._model.bytes_read

    @property
    def sizes(self) -> dict[str, int]:
        """Shape of the model, and bytes of weights and scratch in memory."""
        return self._model.shape


def _identity(path: Path) -> tuple[int, ...]:
    try:
        state = os.stat(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; a GGUF file is needed; check the path") from None
    return state.st_ino, state.st_size, state.st_mtime_ns
