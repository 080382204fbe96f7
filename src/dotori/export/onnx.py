"""A model folder as a folder for onnxruntime-genai, made by its own builder without a network, proved on the host.

model.onnx  model.onnx.data  genai_config.json  tokenizer.json  ...  README.md  lineage.json

The builder knows Granite's multipliers; MiniCPM's are folded first (llama_form). int4: matrices rounded to nearest in
blocks of 32, the head int8.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from dotori.checkpoint.folder import model_of
from dotori.checkpoint.gguf import round_trip
from dotori.checkpoint.hf_names import config_to_hf
from dotori.checkpoint.lineage import Lineage, Proof, at_most, require, write_lineage
from dotori.checkpoint.tensors import write_tensors
from dotori.config import settings
from dotori.errors import UserError
from dotori.export.llama_form import llama_form
from dotori.export.mobile import (
    Source,
    Walk,
    cache_proof,
    check_request,
    difference,
    distance,
    greedy_proof,
    need,
    read_source,
    rounding_limit,
    rows_of_engine,
    rows_of_model,
    step,
    tokenizer_proof,
    walks_of_model,
)
from dotori.export.mobile_card import onnx_card
from dotori.files import atomic_folder, read_json, sha256_file, to_json
from dotori.model.count import parameters
from dotori.runlog import RunLog
from dotori.tokenizer.chat import encode_chat

PACKAGES = {"onnxruntime_genai": "onnxruntime-genai", "onnx": "onnx", "onnxscript": "onnxscript"}
PACKAGES |= {"transformers": "transformers"}
CONFIG = "genai_config.json"
_INT4 = ("block_size=32", "accuracy_level=4", "algo_config=rtn", "matmul_mixed_precision=last_matmul:int8")
# int4 may move the model this many times as far as our own Q4_0, which rounds in blocks of the same size.
_TIMES_Q4_0 = 2.0


@settings
class OnnxSettings:
    """`type`: fp32 or int4, how matrices are stored."""

    type: Literal["fp32", "int4"] = "int4"


def export_onnx(s: OnnxSettings, model: Path, out: Path, log: RunLog) -> None:
    """Writes the export folder `out` of the model folder `model`; raises ProofError when it is not the model."""
    check_request(model, out, PACKAGES)
    source = read_source(model)
    with atomic_folder(out) as folder:
        with step(log, "onnxruntime-genai's builder"):
            _build(source, folder, s.type)
        with step(log, "proofs on the host's runtime"):
            proofs, found = _prove(source, folder, s.type)
        require(proofs)
        size = sum(path.stat().st_size for path in folder.glob("model.onnx*"))
        metrics: dict[str, Any] = {"parameters": parameters(source.config), "file_bytes": size} | found
        metrics |= {"context": source.config.max_position_embeddings, "stop_ids": source.stop_ids}
        story = source.story()
        lineage = Lineage(stage="export", settings={"type": s.type}, metrics=metrics, proofs=proofs, **story)  # type: ignore[arg-type]
        card = onnx_card(out.name, lineage, source.config, "model.onnx.data", version("onnxruntime-genai"))
        (folder / "README.md").write_text(card, encoding="utf-8")
        write_lineage(folder, lineage)
    log.say(f"{out}: {metrics['file_bytes'] / 1e6:.2f} MB, top-1 agreement {metrics['top1_agreement']:.1%}")


def _build(source: Source, folder: Path, kind: str) -> None:
    """Runs the builder on a clean copy of the model, which holds nothing that we do not know."""
    with tempfile.TemporaryDirectory(prefix="dotori-onnx-") as scratch:
        place = Path(scratch) / "model"
        place.mkdir()
        # transformers has no MiniCPM.
        twin = llama_form(source.model) if source.config.model_type == "minicpm" else source.model
        (place / "config.json").write_text(to_json(config_to_hf(twin.config)), encoding="utf-8")
        write_tensors(place / "model.safetensors", {name: p.detach() for name, p in twin.named_parameters()})
        source.tokenizer.save(place)
        words = ["-i", str(place), "-o", str(folder), "-p", kind, "-e", "cpu", "-c", str(Path(scratch) / "cache")]
        options = ["--extra_options", *_INT4] if kind == "int4" else []
        offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        command = [sys.executable, "-m", "onnxruntime_genai.models.builder", *words, *options]
        done = subprocess.run(command, env=os.environ | offline, capture_output=True, text=True, errors="replace")
    if done.returncode or not (folder / CONFIG).is_file():
        last = done.stderr.strip().splitlines()[-1:] or ["it ended without a word"]
        raise UserError(f"{source.folder}: {last[0]}; onnxruntime-genai's builder must take it; export it as GGUF")
    # Ours are the very bytes that were trained with, and name all that ends an answer.
    source.tokenizer.save(folder)
    config = read_json(folder / CONFIG, "onnxruntime-genai folder")
    config["model"]["eos_token_id"] = source.stop_ids
    (folder / CONFIG).write_text(to_json(config), encoding="utf-8")


class Folder:
    """A folder on onnxruntime-genai, as an Engine."""

    def __init__(self, folder: Path, vocab_size: int, context: int) -> None:
        """Loads the model; raises UserError when the runtime refuses it."""
        self._og = import_module("onnxruntime_genai")
        try:
            self._model = self._og.Model(str(folder))
        # The library raises its own kinds, all of them RuntimeError.
        except RuntimeError as error:
            raise UserError(f"{folder}: {error}; onnxruntime-genai must read it; export it anew") from None
        self._vocab_size, self._context = vocab_size, context
        self._generator: Any = None

    def begin(self) -> None:
        """Forgets the text before."""
        options = self._og.GeneratorParams(self._model)
        # Its steps are asked for one by one; the least length keeps a stop id from ending them.
        options.set_search_options(max_length=self._context, min_length=self._context, do_sample=False)
        self._generator = self._og.Generator(self._model, options)

    def feed(self, ids: Sequence[int]) -> np.ndarray:
        """Reads `ids`; logits (vocab,) after the last."""
        self._generator.append_tokens(np.array([list(ids)], np.int32))
        return np.asarray(self._generator.get_logits(), np.float32).reshape(-1, self._vocab_size)[-1].copy()

    def tokenizer(self) -> Any:
        """Its tokenizer."""
        return self._og.Tokenizer(self._model)


def _prove(source: Source, folder: Path, kind: str) -> tuple[tuple[Proof, ...], dict[str, Any]]:
    """The proofs of a folder, and how far it stands from the model in float32."""
    context = source.config.max_position_embeddings
    engine = Folder(folder, source.config.vocab_size, context)
    walks = walks_of_model(source, context)
    truth = [rows_of_model(source, walk) for walk in walks]
    rows = [rows_of_engine(engine, walk) for walk in walks]
    apart, moved = difference(rows, truth), distance(truth, rows)
    what = "the folder on onnxruntime-genai and the PyTorch model in float32 without a cache"
    first: tuple[Proof, ...]
    if kind == "fp32":
        limit, how = rounding_limit(source.config, truth), f"largest logit difference between {what}"
        first = (
            at_most("onnx logits", apart, limit, how),
            greedy_proof("onnx greedy", walks, rows, f"ids chosen otherwise, {what}"),
        )
    else:
        limit = float(f"{apart / 10:.2g}")
        allowed = float(f"{_TIMES_Q4_0 * _q4_0_distance(source, walks, truth):.2g}")
        how = f"KL divergence in nats of {what}; twice that of Q4_0 is allowed"
        first = (at_most("onnx divergence", moved["kl_nats"], allowed, how),)
    tokens = engine.tokenizer()
    last = (
        cache_proof("onnx cache", engine, walks, context, limit),
        tokenizer_proof("onnx tokenizer", source.tokenizer, lambda text: [int(i) for i in tokens.encode(text)]),
    )
    return (*first, *last, *_chat_proof(source, tokens)), moved | {"largest_logit_difference": apart}


@torch.inference_mode()
def _q4_0_distance(source: Source, walks: Sequence[Walk], truth: Sequence[np.ndarray]) -> float:
    """The KL divergence of the model with its weights rounded to Q4_0, on the same rows."""
    state = {name: parameter.detach() for name, parameter in source.model.named_parameters()}
    rounded = replace(source, model=model_of(source.config, round_trip(source.config, state, "Q4_0")))
    return distance(truth, [rows_of_model(rounded, walk) for walk in walks])["kl_nats"]


def _chat_proof(source: Source, tokens: Any) -> tuple[Proof, ...]:
    """The ids of a conversation, control tokens included; nothing for a model without a chat template."""
    if source.tokenizer.chat_template is None:
        return ()
    words = [{"role": "user", "content": "도토리는 어디에서 자라요?"}]
    ids = encode_chat(source.tokenizer, words, add_generation_prompt=True).ids
    control = {index: token for token, index in source.tokenizer.special.items()}
    text = b"".join(control[i].encode() if i in control else source.tokenizer.token_bytes(i) for i in ids).decode()
    theirs = [int(index) for index in tokens.encode(text)]
    wrong = sum(a != b for a, b in zip_longest(ids, theirs))
    return (
        at_most("onnx chat", wrong, 0, "ids of a Korean conversation that differ from the model folder's tokenizer"),
    )


def prove_again(folder: Path, lineage: Lineage, model: Path) -> tuple[Proof, ...]:
    """The proofs of an export folder, made again from the model folder; raises MissingExtra without the extra."""
    need(PACKAGES)
    for name in ("model.onnx", "model.onnx.data", CONFIG):
        if not (folder / name).is_file():
            raise UserError(f"{folder / name}: missing; the export's file is needed; restore it")
    content = sha256_file(folder / "model.onnx") + sha256_file(folder / "model.onnx.data")
    return _again(folder, model, content, str(lineage.settings["type"]))


@functools.lru_cache(maxsize=1)
def _again(folder: Path, model: Path, _content: str, kind: str) -> tuple[Proof, ...]:
    return _prove(read_source(model), folder, kind)[0]
