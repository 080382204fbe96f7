"""What the exports for other people's engines share: what is checked before, said meanwhile, and proved after."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from dotori.checkpoint.folder import read_config, read_model
from dotori.checkpoint.lineage import FILE, Lineage, Proof, at_most, equal, folder_hash, read_lineage
from dotori.errors import UserError
from dotori.export.gguf import PROOF_TEXTS
from dotori.files import sha256_json
from dotori.model.config import ModelConfig
from dotori.model.generate import generate
from dotori.model.sampling import Sampling
from dotori.model.transformer import Transformer
from dotori.runlog import RunLog
from dotori.runtime.stop import ends_of_text
from dotori.tokenizer.chat import encode_chat
from dotori.tokenizer.load import Tokenizer, load_tokenizer

FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "granite", "minicpm")
GREEDY_TOKENS = 64
# In float32 a value passes about this many dependent roundings in a layer; a sum of hundreds counts as a few.
_ROUNDINGS_A_LAYER, _SUM = 12, 8
_QUESTIONS = (
    "도토리는 어디에서 자라요? 다람쥐 이야기를 들려주세요.",
    "Where does an acorn grow? Tell me about the squirrel.",
)


class MissingExtra(UserError):
    """The packages of an extra are not installed."""


@dataclass(frozen=True)
class Source:
    """A model folder that was read: its model, tokenizer, and what it tells of itself."""

    folder: Path
    model: Transformer
    tokenizer: Tokenizer
    lineage: Lineage | None

    @property
    def config(self) -> ModelConfig:
        """The model's shape."""
        return self.model.config

    @property
    def stop_ids(self) -> list[int]:
        """The ids that end a text or an answer."""
        ends = (*self.config.stop_ids, self.config.bos_token_id, self.tokenizer.bos_id, self.tokenizer.eos_id)
        return ends_of_text(self.tokenizer, ends)

    def story(self) -> dict[str, object]:
        """The fields of a lineage that an export takes over."""
        if self.lineage is None:
            return {}
        own, parents = self.lineage, {"model": folder_hash(self.folder)}
        return {"seed": own.seed, "parents": parents, "data": dict(own.data), "tokens_seen": own.tokens_seen}


def read_source(folder: Path) -> Source:
    """The model folder for an export or its proofs; raises UserError for what cannot be exported."""
    _check_family(folder)
    model, _ = read_model(folder)
    parent = read_lineage(folder) if (folder / FILE).is_file() else None
    return Source(folder, model.requires_grad_(False).eval(), load_tokenizer(folder), parent)


def check_request(folder: Path, out: Path, packages: Mapping[str, str]) -> None:
    """Raises UserError for whatever can be known to fail before the weights are read: path, --out, family, extra."""
    if folder.suffix == ".gguf" or (folder.is_dir() and not (folder / "config.json").is_file()):
        what = "a GGUF file" if folder.suffix == ".gguf" else "no config.json in it"
        raise UserError(
            f"{folder}: {what}; a model folder with config.json and model.safetensors is needed; "
            "name the folder that the file was made from"
        )
    if out.exists():
        raise UserError(f"{out}: there already; this export replaces nothing; choose another --out or remove it")
    _check_family(folder)
    need(packages)


def _check_family(folder: Path) -> None:
    kind = read_config(folder).model_type
    if kind not in FAMILIES:
        raise UserError(f"{folder}: model_type {kind!r}; {', '.join(FAMILIES)} are supported; export it as GGUF")


def need(packages: Mapping[str, str]) -> None:
    """Raises MissingExtra unless each module of `packages` (module -> its name for pip) can be imported."""
    missing = [name for module, name in packages.items() if find_spec(module) is None]
    if missing:
        raise MissingExtra(
            f"{', '.join(missing)}: not installed; the extra `mobile` brings what is needed; "
            "run: pip install 'dotori[mobile]' (in a checkout: pip install -c constraints.txt -e '.[mobile]')"
        )


@contextmanager
def step(log: RunLog, label: str, every: float = 20.0) -> Iterator[None]:
    """Says that `label` began, every few seconds that it still goes on, and how long it took."""
    begun, over = time.monotonic(), threading.Event()

    def speak() -> None:
        while not over.wait(every):
            log.say(f"{label}: {time.monotonic() - begun:.0f} s so far")

    log.say(f"{label} ...")
    voice = threading.Thread(target=speak, daemon=True)
    voice.start()
    try:
        yield
    finally:
        over.set()
        voice.join()
    log.say(f"{label}: {time.monotonic() - begun:.1f} s")


class Engine(Protocol):
    """Something that continues one text."""

    def begin(self) -> None:
        """Forgets the text before."""

    def feed(self, ids: Sequence[int]) -> np.ndarray:
        """Reads `ids` behind what was read; logits float32 (vocab,) after the last of them."""


@dataclass(frozen=True)
class Walk:
    """A prompt and its greedy continuation by a reference: `ids[start:]` are the continuation."""

    ids: list[int]
    start: int


def prompts(source: Source, context: int) -> list[list[int]]:
    """A Korean and an English prompt that leave room for GREEDY_TOKENS, or for half of a small context."""
    room = max(context - GREEDY_TOKENS, context // 2, 1)
    found = []
    for text in _QUESTIONS:
        if source.tokenizer.chat_template is not None:
            ids = encode_chat(source.tokenizer, [{"role": "user", "content": text}], add_generation_prompt=True).ids
        else:
            bos = source.tokenizer.bos_id
            ids = ([] if bos is None else [bos]) + source.tokenizer.encode(text)
        found.append(ids[-room:])
    return found


def walks_of_model(source: Source, context: int) -> list[Walk]:
    """The greedy continuations by the PyTorch model."""
    found = []
    for ids in prompts(source, context):
        count = min(GREEDY_TOKENS, context - len(ids))
        found.append(Walk([*ids, *generate(source.model, ids, count, Sampling())], len(ids)))
    return found


def walks_of_engine(engine: Engine, source: Source, context: int) -> list[Walk]:
    """The greedy continuations by an engine."""
    found = []
    for ids in prompts(source, context):
        walk, logits = list(ids), _prompt(engine, ids)
        for _ in range(min(GREEDY_TOKENS, context - len(ids))):
            walk.append(int(logits.argmax()))
            logits = engine.feed(walk[-1:])
        found.append(Walk(walk, len(ids)))
    return found


def rows_of_engine(engine: Engine, walk: Walk) -> np.ndarray:
    """Logits (tokens, vocab) from which each id of the continuation is chosen, by prefill and single steps."""
    rows = [_prompt(engine, walk.ids[: walk.start])]
    rows += [engine.feed([index]) for index in walk.ids[walk.start : -1]]
    return np.stack(rows)


def _prompt(engine: Engine, ids: Sequence[int]) -> np.ndarray:
    engine.begin()
    return engine.feed(ids)


@torch.inference_mode()
def rows_of_model(source: Source, walk: Walk) -> np.ndarray:
    """The same by the PyTorch model in one pass, without a cache."""
    return source.model(torch.tensor([walk.ids[:-1]]))[0, walk.start - 1 :].float().numpy()


def rounding_limit(config: ModelConfig, rows: Iterable[np.ndarray]) -> float:
    """The most that two float32 computations of the same logits may differ by, to two digits."""
    roundings = _SUM * (_ROUNDINGS_A_LAYER * config.num_hidden_layers + 4)
    return float(f"{roundings * 2.0**-24 * _largest(rows):.2g}")


def _largest(rows: Iterable[np.ndarray]) -> float:
    return max(float(np.abs(row).max()) for row in rows)


def difference(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> float:
    """The largest absolute difference of logits."""
    return _largest(x - y for x, y in zip(a, b, strict=True))


def distance(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> dict[str, float]:
    """Mean KL divergence in nats of `after` from `before`, and the share of rows with the same largest logit."""
    a, b = np.concatenate(before).astype(np.float64), np.concatenate(after).astype(np.float64)
    tops = (x - x.max(axis=1, keepdims=True) for x in (a, b))
    log_a, log_b = (x - np.log(np.exp(x).sum(axis=1, keepdims=True)) for x in tops)
    kl = (np.exp(log_a) * (log_a - log_b)).sum(axis=1).mean()
    return {"kl_nats": float(kl), "top1_agreement": float((a.argmax(1) == b.argmax(1)).mean())}


def greedy_proof(name: str, walks: Sequence[Walk], rows: Sequence[np.ndarray], how: str) -> Proof:
    """The engine chooses every id of the walks; as each step then begins alike, its own texts are the same."""
    wrong = sum(_otherwise(row, walk, row).size for walk, row in zip(walks, rows, strict=True))
    return at_most(name, wrong, 0, f"{how}, {_count(rows)} tokens after a Korean and an English prompt")


def near_greedy_proof(
    name: str, walks: Sequence[Walk], rows: Sequence[np.ndarray], expected: Sequence[np.ndarray], limit: float, how: str
) -> Proof:
    """The same of one that rounds otherwise: it may differ where the reference has less than `limit` to spare."""
    trio = zip(walks, rows, expected, strict=True)
    spare = np.concatenate([_otherwise(row, walk, reference) for walk, row, reference in trio])
    wrong = int((spare > limit).sum())
    ways = (
        f"{_count(rows)} tokens, {spare.size} of them otherwise where the reference prefers its own by at most {limit}"
    )
    return at_most(name, wrong, 0, f"{how}, {ways}")


def _otherwise(row: np.ndarray, walk: Walk, reference: np.ndarray) -> np.ndarray:
    """By how much the reference prefers its own id, at each step where the engine chooses another one."""
    steps, mine, theirs = np.arange(len(row)), row.argmax(axis=1), np.array(walk.ids[walk.start :])
    return (reference[steps, theirs] - reference[steps, mine])[mine != theirs]


def _count(rows: Sequence[np.ndarray]) -> int:
    return sum(len(row) for row in rows)


def cache_proof(name: str, engine: Engine, walks: Sequence[Walk], largest_piece: int, limit: float) -> Proof:
    """The last row is the same however a text is cut, and whatever text was read before it."""
    worst = 0.0
    for walk in walks:
        last = []
        for sizes in ([largest_piece], [1], [3, 1, 7, 2]):
            engine.begin()
            at, turn = 0, 0
            while at < len(walk.ids):
                piece = min(sizes[turn % len(sizes)], largest_piece)
                logits = engine.feed(walk.ids[at : at + piece])
                at, turn = at + piece, turn + 1
            last.append(logits)
        worst = max(worst, difference(last[1:], [last[0]] * 2))
    how = "largest logit difference at the end of a text read in one piece, token by token, and in pieces of mixed size"
    return at_most(name, worst, limit, how)


def tokenizer_proof(name: str, ours: Tokenizer, encode: Callable[[str], list[int]]) -> Proof:
    """Another tokenizer gives the ids of `ours` on the proof texts, in which no control token is spelled."""
    texts = list(PROOF_TEXTS)
    for token in ours.special:
        texts = [text.replace(token, " ") for text in texts]
    got, expected = (sha256_json([spell(text) for text in texts]) for spell in (encode, ours.encode))
    how = (
        "hash of the ids of Korean, English, code, emoji and all 11,172 syllables, against the model folder's tokenizer"
    )
    return equal(name, got, expected, how)


def settle(made: Proof, recorded: Proof) -> Proof:
    """A proof made again, under the recorded limit where the two limits, themselves computed, are nearly the same."""
    if isinstance(made.value, str) or isinstance(recorded.threshold, str):
        return made
    fresh, old, value = float(made.threshold or 0), float(recorded.threshold or 0), float(made.value or 0)
    near = fresh / 2 <= old <= fresh * 2
    return replace(made, threshold=recorded.threshold, passed=value <= old) if near else made
