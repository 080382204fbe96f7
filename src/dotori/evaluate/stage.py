"""The evaluation stage: models in, a folder with `evaluation.json` and `lineage.json` out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from dotori.checkpoint.lineage import FILE, Lineage, Proof, folder_hash, write_lineage
from dotori.config import settings
from dotori.data.sources import find_files
from dotori.errors import UserError
from dotori.evaluate.bpb import evaluate_bpb
from dotori.evaluate.storyworld import evaluate_storyworld
from dotori.files import atomic_folder, atomic_write, sha256_file, to_json
from dotori.runlog import RunLog
from dotori.runtime.open import find_gguf, open_model
from dotori.runtime.session import Session
from dotori.runtime.torch_session import TorchSession

# Rounding differs between one row and many; it may turn a tie once in a great while, never often.
_PROOF_PROMPTS, _PROOF_SHARE, _PROOF_TOKENS = 16, 0.9, 24
_PROMPT_TOKENS = 128


@settings
class EvaluateSettings:
    """What to measure: the story world (`count` items of each task; `vocabulary` None is the model's own), bits per
    byte on `texts` (paths, folders, globs), and greedy answers to `prompts`, which the report shows as a conversation.
    """

    storyworld: bool = True
    count: int = 200
    seed: int = 0
    vocabulary: str | int | None = None
    texts: tuple[str, ...] = ()
    field: str = "text"
    prompts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UserError(f"count: {self.count}; at least one item of each task is needed; correct it")
        if not (self.storyworld or self.texts or self.prompts):
            raise UserError("evaluate: storyworld, texts and prompts are all off; nothing would be measured; set one")


def evaluation_files(s: EvaluateSettings) -> list[Path]:
    """The files outside the run that decide the figures."""
    return find_files(s.texts) if s.texts else []


def evaluate_models(s: EvaluateSettings, models: Sequence[Path], out: Path, log: RunLog) -> None:
    """Stage: measures each of `models` (model folder, export folder or GGUF file) and writes the folder `out`.

    evaluation.json is {"stage": "evaluate", "models": [{"name", "file", "storyworld", "bpb"}], "transcript": {"model",
    "turns"}}; the transcript is of the last model. Raises ProofError when a model answers otherwise alone than in a
    batch.
    """
    if not models:
        raise UserError("evaluate: no models; at least one is needed; name stages of models or exports")
    rows: list[dict[str, Any]] = []
    proofs: list[Proof] = []
    turns: list[dict[str, str]] = []
    for path in models:
        session = open_model(path)
        rows.append({"name": path.name, "file": _file(path)} | _measure(s, session, log))
        proofs.append(batch_proof(path.name, session, _prompts(s, rows[-1])))
        turns = _turns(s, session, rows[-1])
        for line in _lines(rows[-1]):
            log.say(f"{path.name}: {line}")
    document = {"stage": "evaluate", "models": rows, "transcript": {"model": rows[-1]["file"], "turns": turns}}
    with atomic_folder(out) as folder:
        atomic_write(folder / "evaluation.json", to_json(document))
        lineage = Lineage(
            stage="evaluate",
            settings=TypeAdapter(EvaluateSettings).dump_python(s, mode="json"),
            seed=s.seed,
            parents={path.name: _hash(path) for path in models},
            data={str(path): sha256_file(path) for path in evaluation_files(s)},
            metrics={row["name"]: _figures(row) for row in rows},
            proofs=tuple(proofs),
        )
        write_lineage(folder, lineage)


def _file(path: Path) -> str:
    found = find_gguf(path)
    return "model.safetensors" if found is None else found.name


def _hash(path: Path) -> str:
    folder = path if path.is_dir() else path.parent
    return folder_hash(folder) if (folder / FILE).is_file() or path.is_dir() else sha256_file(path)


def _measure(s: EvaluateSettings, session: Session | TorchSession, log: RunLog) -> dict[str, Any]:
    story = evaluate_storyworld(session, log, s.seed, s.count, s.vocabulary) if s.storyworld else None
    bpb = evaluate_bpb(session, s.texts, s.field, None, log) if s.texts else None
    return {"storyworld": story, "bpb": bpb}


def _prompts(s: EvaluateSettings, row: dict[str, Any]) -> list[str]:
    asked = [example["prompt"] for example in (row["storyworld"] or {}).get("examples", [])]
    return [*s.prompts, *asked][:_PROOF_PROMPTS]


def batch_proof(name: str, session: Session | TorchSession, prompts: Sequence[str]) -> Proof:
    """That the answers measured in batches are those the model gives alone: the share of equal ones."""
    conversations = [session.chat([{"role": "user", "content": prompt}]) for prompt in prompts]
    fitting = [ids for ids in conversations if len(ids) + _PROOF_TOKENS <= session.context]
    batch = session.generate_batch(fitting, _PROOF_TOKENS)
    alone = [list(session.generate(ids, max_tokens=_PROOF_TOKENS)) for ids in fitting]
    share = sum(ours == theirs for ours, theirs in zip(batch, alone, strict=True)) / len(fitting) if fitting else 1.0
    how = f"{name}: share of {len(fitting)} greedy answers of {_PROOF_TOKENS} tokens equal alone and in a batch"
    return Proof(f"batch equals solo, {name}", round(share, 4), _PROOF_SHARE, share >= _PROOF_SHARE, how)


def _turns(s: EvaluateSettings, session: Session | TorchSession, row: dict[str, Any]) -> list[dict[str, str]]:
    """The conversation to show: the given prompts, else the first item of each task."""
    if not s.prompts:
        examples = (row["storyworld"] or {}).get("examples", [])
        firsts = {example["task"]: example for example in reversed(examples)}
        shown = [(example["prompt"], example["output"] or "") for example in reversed(firsts.values())]
        return [turn for prompt, answer in shown for turn in _said(prompt, answer)]
    turns: list[dict[str, str]] = []
    for prompt in s.prompts:
        ids = session.chat([{"role": "user", "content": prompt}])
        room = max(0, min(_PROMPT_TOKENS, session.context - len(ids)))
        turns += _said(prompt, session.detokenize(list(session.generate(ids, max_tokens=room))))
    return turns


def _said(prompt: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


def _figures(row: dict[str, Any]) -> dict[str, Any]:
    """The headline figures of a model: one number each."""
    found: dict[str, Any] = {}
    for key, value in (row["storyworld"] or {}).items():
        if isinstance(value, float) and key != "seconds":
            found[key] = value
    for lang, entry in ((row["bpb"] or {}).get("languages") or {}).items():
        found[f"bits_per_byte_{lang}"] = entry["bits_per_byte"]
    return found


def _lines(row: dict[str, Any]) -> list[str]:
    return [f"{key} {value:g}" for key, value in _figures(row).items()]
