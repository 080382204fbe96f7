"""A model folder as one GGUF file in an export folder, with the proof that the file is the model.

model-Q4_0.gguf  README.md  lineage.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch.nn import functional as F

from dotori import __version__
from dotori.checkpoint.card import model_card
from dotori.checkpoint.folder import model_of, read_model
from dotori.checkpoint.gguf import GGUFModel, read_gguf, round_trip, write_gguf
from dotori.checkpoint.hf_names import config_to_hf
from dotori.checkpoint.lineage import (
    FILE,
    Lineage,
    Proof,
    at_most,
    equal,
    folder_hash,
    read_lineage,
    require,
    write_lineage,
)
from dotori.config import settings
from dotori.data.build import STORY_VOCABULARY
from dotori.files import atomic_folder, check_place, sha256_json
from dotori.model.count import parameters
from dotori.model.transformer import Transformer
from dotori.runlog import RunLog
from dotori.tokenizer.load import Tokenizer, load_tokenizer

# What every file's tokenizer must agree on, besides all modern Hangul syllables.
PROOF_TEXTS = (
    "도토리 한 톨이 작은 주머니 속에서 자랍니다. 값은 1,234원이에요!",
    "A small acorn, kept in a pocket: it's 3.14 cm wide.",
    "def f(x):\n    return {'a': x ** 2}  # 제곱\n\n\n\tend",
    "🐿️🌰 ㅋㅋㅋ ㅠㅠ café naïve 漢字 <|im_end|> <|endoftext|>",
    "   spaces   and\r\nlines\n\n\n",
    "".join(chr(code) for code in range(0xAC00, 0xD7A4)),
)


@settings
class ExportSettings:
    """`type`: how matrices are stored; Q8_0 and Q4_0 round to nearest."""

    type: Literal["F32", "F16", "Q8_0", "Q4_0"] = "Q8_0"


def export_gguf(s: ExportSettings, model: Path, out: Path, log: RunLog) -> None:
    """Writes the export folder `out` of the model folder `model`; raises ProofError when the file is not the model."""
    check_place(out, ("model-*.gguf",))
    source, config = read_model(model)
    tokenizer = load_tokenizer(model)
    parent = read_lineage(model) if (model / FILE).is_file() else None
    with atomic_folder(out) as folder:
        name = f"model-{s.type}.gguf"
        extra: dict[str, str | int | float] = {
            "general.name": model.name,
            "general.quantized_by": f"dotori {__version__}",
        }
        extra |= {"dotori.parent": folder_hash(model) if parent else sha256_json(config_to_hf(config))}
        data = dict(parent.data) if parent else {}
        if STORY_VOCABULARY in data:
            extra[f"dotori.{STORY_VOCABULARY}"] = data[STORY_VOCABULARY]
        state = {key: value.detach() for key, value in source.named_parameters()}
        kinds = write_gguf(folder / name, config, state, tokenizer, s.type, extra)
        found = read_gguf(folder / name)
        proofs = (logits_proof(source, found, s.type), tokenizer_proof(tokenizer, found.tokenizer))
        require(proofs)
        metrics: dict[str, Any] = {"parameters": parameters(config), "file_bytes": (folder / name).stat().st_size}
        metrics |= distance(source, model_of(found.config, found.state))
        metrics["tensor_types"] = {kind: list(kinds.values()).count(kind) for kind in sorted(set(kinds.values()))}
        lineage = Lineage(
            stage="export",
            settings={"type": s.type},
            seed=parent.seed if parent else None,
            parents={"model": folder_hash(model)} if parent else {},
            data=data,
            tokens_seen=parent.tokens_seen if parent else 0,
            metrics=metrics,
            proofs=proofs,
        )
        story = {"stage": "export", "metrics": metrics, "parents": lineage.parents, "tokens_seen": lineage.tokens_seen}
        story["proofs"] = [vars(proof) for proof in proofs]
        card = model_card(
            out.name, story, config_to_hf(config), ("ko", "en"), "apache-2.0", {name: metrics["file_bytes"]}
        )
        (folder / "README.md").write_text(card, encoding="utf-8")
        write_lineage(folder, lineage)
    log.say(f"{out / name}: {metrics['file_bytes'] / 1e6:.2f} MB, top-1 agreement {metrics['top1_agreement']:.1%}")


def _probe(vocab_size: int) -> torch.Tensor:
    """Ids (4, 64) that reach all of a vocabulary, always the same."""
    return torch.randint(0, vocab_size, (4, 64), generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def logits_proof(source: Transformer, found: GGUFModel, file_type: str) -> Proof:
    """The file, read back, gives the logits of the source's weights rounded as the file's type rounds them."""
    state = {name: parameter.detach() for name, parameter in source.named_parameters()}
    rounded = model_of(source.config, round_trip(source.config, state, file_type))
    ids = _probe(source.config.vocab_size)
    difference = (rounded(ids) - model_of(found.config, found.state)(ids)).abs().max().item()
    how = f"largest logit difference between the file and the model with its weights rounded to {file_type}, 256 tokens"
    return at_most("gguf logits", difference, 1e-4, how)


def tokenizer_proof(ours: Tokenizer, theirs: Tokenizer) -> Proof:
    """The file's tokenizer gives the same ids as tokenizer.json, on the proof texts."""
    expected, got = (sha256_json([t.encode(text) for text in PROOF_TEXTS]) for t in (ours, theirs))
    how = "hash of the ids of Korean, English, code, emoji and all 11,172 syllables, tokenizer.json against the file"
    return equal("gguf tokenizer", got, expected, how)


@torch.inference_mode()
def distance(source: Transformer, rounded: Transformer) -> dict[str, float]:
    """How far rounding moved the model: mean KL divergence in nats and top-1 agreement over the probe."""
    ids = _probe(source.config.vocab_size)
    before, after = (F.log_softmax(model(ids).double(), dim=-1) for model in (source, rounded))
    kl = (before.exp() * (before - after)).sum(dim=-1).mean().item()
    return {"kl_nats": kl, "top1_agreement": (before.argmax(-1) == after.argmax(-1)).double().mean().item()}
