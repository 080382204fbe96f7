"""A model folder as a .pte file for ExecuTorch's XNNPACK backend, proved on the host's runtime.

model-8da4w.pte  tokenizer.json  tokenizer_config.json  chat_template.jinja  README.md  lineage.json

One method, `forward(tokens, start) -> logits`, holds the key/value cache; its signature is that of ExecuTorch's own
text runners. 8da4w: matrices int4 in groups of 32, head and embedding int8 by row, activations int8 as they come.
"""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from dotori.checkpoint.folder import model_of
from dotori.checkpoint.lineage import Lineage, Proof, at_most, require, write_lineage
from dotori.config import settings
from dotori.errors import UserError
from dotori.export.llama_form import llama_form
from dotori.export.mobile import (
    Source,
    cache_proof,
    check_request,
    difference,
    distance,
    greedy_proof,
    near_greedy_proof,
    need,
    read_source,
    rounding_limit,
    rows_of_engine,
    rows_of_model,
    step,
    tokenizer_proof,
    walks_of_engine,
    walks_of_model,
)
from dotori.export.mobile_card import executorch_card
from dotori.export.static_cache import ByteTable, StaticDecoder
from dotori.files import atomic_folder, sha256_file
from dotori.model.count import parameters
from dotori.runlog import RunLog
from dotori.tokenizer.load import load_tokenizer

PACKAGES = {"executorch": "executorch", "torchao": "torchao"}
# A prompt is read in pieces of at most this many tokens: scratch memory grows with piece times context.
LARGEST_PIECE = 128
GROUP = 32


@settings
class ExecutorchSettings:
    """`type`: fp32, or 8da4w (int4 weights, int8 activations); `context`: positions the cache holds, 0 the model's."""

    type: Literal["fp32", "8da4w"] = "8da4w"
    context: int = 0


def export_executorch(s: ExecutorchSettings, model: Path, out: Path, log: RunLog) -> None:
    """Writes the export folder `out` of the model folder `model`; raises ProofError when the file is not the model."""
    check_request(model, out, PACKAGES)
    source = read_source(model)
    context = _check_shape(source, s)
    with atomic_folder(out) as folder:
        file = folder / f"model-{s.type}.pte"
        file.write_bytes(_lower(source, s.type, context, log))
        source.tokenizer.save(folder)
        with step(log, "proofs on the host's runtime"):
            proofs, found = _prove(source, file, s.type, context)
        require(proofs)
        piece = min(LARGEST_PIECE, context)
        metrics: dict[str, Any] = {"parameters": parameters(source.config), "file_bytes": file.stat().st_size} | found
        metrics |= {"context": context, "largest_piece": piece, "stop_ids": source.stop_ids}
        story = source.story()
        settled = {"type": s.type, "context": context}
        lineage = Lineage(stage="export", settings=settled, metrics=metrics, proofs=proofs, **story)  # type: ignore[arg-type]
        card = executorch_card(out.name, lineage, source.config, file.name, version("executorch"))
        (folder / "README.md").write_text(card, encoding="utf-8")
        write_lineage(folder, lineage)
    log.say(f"{out / file.name}: {metrics['file_bytes'] / 1e6:.2f} MB, top-1 agreement {metrics['top1_agreement']:.1%}")


def _check_shape(source: Source, s: ExecutorchSettings) -> int:
    """The context to build for; raises UserError for a shape or context that cannot be."""
    c = source.config
    if not (s.context == 0 or 2 <= s.context <= c.max_position_embeddings):
        raise UserError(f"context: {s.context}; 2 to {c.max_position_embeddings} for this model; correct --context")
    widths = {"hidden_size": c.hidden_size, "intermediate_size": c.intermediate_size}
    widths["num_attention_heads * head_dim"] = c.num_attention_heads * c.head_dim
    for name, width in widths.items():
        if s.type == "8da4w" and width % GROUP:
            raise UserError(f"{name}: {width}; 8da4w needs a multiple of {GROUP}; use --type fp32")
    return s.context or c.max_position_embeddings


def decoder(source: Source, kind: str, context: int) -> StaticDecoder:
    """The decoder that is lowered, in PyTorch: the file's weights and arithmetic, without XNNPACK."""
    twin = llama_form(source.model)
    # Modules of its own around the same tensors: quantizing replaces weights, and the source stays what it is.
    twin = model_of(twin.config, {name: parameter.detach() for name, parameter in twin.named_parameters()})
    built = StaticDecoder(twin, context).requires_grad_(False)
    return built if kind == "fp32" else _quantize(built)


def _quantize(built: StaticDecoder) -> StaticDecoder:
    with _quiet():
        ao = import_module("torchao.quantization")
        assert isinstance(built.embed, nn.Embedding)
        weight = built.embed.weight
        if built.head is None:
            built.head = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
            built.head.weight = nn.Parameter(weight.clone(), requires_grad=False)
        built.embed = ByteTable(weight)
        scheme = ao.Int8DynamicActivationIntxWeightConfig
        head = scheme(weight_dtype=torch.int8, weight_granularity=ao.PerAxis(0))
        ao.quantize_(built, head, lambda _, name: name == "head")
        # XNNPACK keeps the scales of groups in bfloat16; HQQ's scales lose a third less than those of the largest.
        body = scheme(
            weight_dtype=torch.int4,  # type: ignore[attr-defined]
            weight_granularity=ao.PerGroup(GROUP),
            weight_scale_dtype=torch.bfloat16,
            intx_choose_qparams_algorithm="hqq_scale_only",
        )
        ao.quantize_(built, body, lambda module, name: isinstance(module, nn.Linear) and name != "head")
    for module in _linears(built):
        module.weight.scale = module.weight.scale.float()  # type: ignore[attr-defined]
    return built


def _linears(built: nn.Module) -> Iterator[nn.Linear]:
    return (module for module in built.modules() if isinstance(module, nn.Linear))


def _float_activations(built: StaticDecoder) -> StaticDecoder:
    """A quantized decoder with its rounded weights, but activations as they come."""
    for module in _linears(built):
        module.weight = nn.Parameter(module.weight.dequantize(), requires_grad=False)
    return built


def _lower(source: Source, kind: str, context: int, log: RunLog) -> bytes:
    """The bytes of the .pte file."""
    piece = min(LARGEST_PIECE, context)
    example = (torch.zeros(1, min(5, piece), dtype=torch.long), torch.zeros(1, dtype=torch.long))
    dynamic = torch.export.Dim.DYNAMIC(min=1, max=piece)
    with _quiet(), torch.no_grad():
        built = decoder(source, kind, context)
        with step(log, "tracing the model"):
            program = torch.export.export(built, example, dynamic_shapes=({1: dynamic}, {}), strict=False)
        exir = import_module("executorch.exir")
        with step(log, "lowering it to XNNPACK"):
            lowered = exir.to_edge_transform_and_lower(
                program,
                partitioner=_partitioners(kind),
                compile_config=exir.EdgeCompileConfig(_check_ir_validity=False),
                constant_methods=_metadata(source, context, piece),
            )
        with step(log, "planning its memory"):
            passes = import_module("executorch.exir.passes")
            shapes = import_module("executorch.exir.passes.sym_shape_eval_pass")
            config = exir.ExecutorchBackendConfig(
                memory_planning_pass=passes.MemoryPlanningPass(alloc_graph_input=False),
                sym_shape_eval_pass=shapes.ConstraintBasedSymShapeEvalPass(),
                run_reinplace_pass=True,
            )
            return lowered.to_executorch(config).buffer


def _partitioners(kind: str) -> list[Any]:
    xnnpack = import_module("executorch.backends.xnnpack.partition.xnnpack_partitioner").XnnpackPartitioner
    if kind == "fp32":
        return [xnnpack()]
    precision = import_module("executorch.backends.xnnpack.partition.config.xnnpack_config").ConfigPrecisionType
    return [xnnpack(config_precisions=precision.DYNAMIC_QUANT, per_op_mode=True), xnnpack()]


def _metadata(source: Source, context: int, piece: int) -> dict[str, Any]:
    """What ExecuTorch's own text runners ask a file for."""
    c = source.config
    found: dict[str, Any] = {"get_max_seq_len": piece, "get_max_context_len": context, "get_vocab_size": c.vocab_size}
    found |= {"get_n_layers": c.num_hidden_layers, "get_eos_ids": source.stop_ids}
    found |= {"use_kv_cache": True, "use_sdpa_with_kv_cache": False, "enable_dynamic_shape": True}
    bos = source.tokenizer.bos_id
    return found if bos is None else found | {"get_bos_id": bos}


class Program:
    """A .pte file on the host's runtime, as an Engine."""

    def __init__(self, file: Path, largest_piece: int) -> None:
        """Loads the file; raises UserError when the runtime refuses it."""
        with _quiet():
            runtime = import_module("executorch.runtime").Runtime.get()
        try:
            # The runtime keeps neither alive.
            self._program = runtime.load_program(str(file))
            self._method = self._program.load_method("forward")
        except (RuntimeError, ValueError) as error:
            raise UserError(f"{file}: {error}; a .pte file with a method `forward` is needed; export it anew") from None
        self._piece, self._at = largest_piece, 0

    def begin(self) -> None:
        """Forgets the text before."""
        self._at = 0

    def feed(self, ids: Sequence[int]) -> np.ndarray:
        """Reads `ids`, in pieces where they are many; logits (vocab,) after the last."""
        for place in range(0, len(ids), self._piece):
            piece = list(ids[place : place + self._piece])
            logits = self._method.execute([torch.tensor([piece]), torch.tensor([self._at])])[0]
            self._at += len(piece)
        return logits[0].numpy().copy()


class Eager:
    """The same decoder in PyTorch, as an Engine."""

    def __init__(self, built: StaticDecoder) -> None:
        self._decoder, self._at = built, 0

    def begin(self) -> None:
        """Forgets the text before."""
        self._at = 0

    @torch.inference_mode()
    def feed(self, ids: Sequence[int]) -> np.ndarray:
        """Reads `ids`; logits (vocab,) after the last."""
        logits = self._decoder(torch.tensor([list(ids)]), torch.tensor([self._at]))
        self._at += len(ids)
        return logits[0].numpy()


def _prove(source: Source, file: Path, kind: str, context: int) -> tuple[tuple[Proof, ...], dict[str, Any]]:
    """The proofs of a file, and how far it stands from the model in float32."""
    piece = min(LARGEST_PIECE, context)
    program, usual = Program(file, piece), walks_of_model(source, context)
    truth = [rows_of_model(source, walk) for walk in usual]
    if kind == "fp32":
        walks, expected, limit = usual, truth, rounding_limit(source.config, truth)
        reference = "the PyTorch model in float32 without a cache"
    else:
        built = decoder(source, kind, context)
        eager = Eager(built)
        walks = walks_of_engine(eager, source, context)
        expected = [rows_of_engine(eager, walk) for walk in walks]
        finer = Eager(_float_activations(built))
        # Both round activations to 255 steps, now and then to different ones: less than rounding itself moves them.
        limit = float(f"{difference(expected, [rows_of_engine(finer, walk) for walk in walks]):.2g}")
        reference = "the PyTorch model with the same weights and activations quantized"
    rows = [rows_of_engine(program, walk) for walk in walks]
    otherwise = f"ids that the file chooses otherwise than {reference}"
    if kind == "fp32":
        greedy = greedy_proof("executorch greedy", walks, rows, otherwise)
    else:
        greedy = near_greedy_proof("executorch greedy", walks, rows, expected, limit, otherwise)
    how = f"largest logit difference between the file on ExecuTorch and {reference}"
    proofs = (
        at_most("executorch logits", difference(rows, expected), limit, how),
        greedy,
        cache_proof("executorch cache", program, walks, piece, limit),
        tokenizer_proof("executorch tokenizer", source.tokenizer, load_tokenizer(file.parent).encode),
    )
    return proofs, distance(truth, [rows_of_engine(program, walk) for walk in usual])


def prove_again(folder: Path, lineage: Lineage, model: Path) -> tuple[Proof, ...]:
    """The proofs of an export folder, made again from the model folder; raises MissingExtra without the extra."""
    need(PACKAGES)
    kind, context = str(lineage.settings["type"]), int(lineage.settings["context"])
    file = folder / f"model-{kind}.pte"
    if not file.is_file():
        raise UserError(f"{file}: missing; the export's file is needed; restore it")
    return _again(folder, model, sha256_file(file), kind, context)


@functools.lru_cache(maxsize=1)
def _again(folder: Path, model: Path, _content: str, kind: str, context: int) -> tuple[Proof, ...]:
    return _prove(read_source(model), folder / f"model-{kind}.pte", kind, context)[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps remarks of libraries about themselves from people: GPU parts not found, names to be dropped one day."""
    loggers = [logging.getLogger(name) for name in ("torchao", "torch.utils._pytree", "root")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
