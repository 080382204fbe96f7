"""Model folders in Hugging Face layout: read after checking, written whole or not at all.

config.json  model.safetensors  tokenizer.json  tokenizer_config.json  chat_template.jinja  generation_config.json
README.md (model card)  lineage.json
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from dotori.checkpoint.card import model_card
from dotori.checkpoint.hf_names import config_from_hf, config_to_hf
from dotori.checkpoint.lineage import Lineage, write_lineage
from dotori.checkpoint.tensors import read_state, tensor_files, write_tensors
from dotori.errors import UserError
from dotori.files import atomic_folder, read_json, to_json
from dotori.model.config import ModelConfig
from dotori.model.rope import inverse_frequencies
from dotori.model.transformer import Transformer
from dotori.tokenizer.load import Tokenizer

# Buffers that older checkpoints carry and that the configuration already says.
_DERIVED = ("rotary_emb.inv_freq",)


def read_config(folder: Path) -> ModelConfig:
    """The shape of the model in `folder`; raises UserError when it is no model folder or one we cannot compute."""
    if not folder.is_dir():
        raise UserError(f"{folder}: not a folder; a model folder with config.json is needed; check the path")
    return config_from_hf(read_json(folder / "config.json", "model folder"))


def read_model(folder: Path) -> tuple[Transformer, ModelConfig]:
    """The model in `folder`, float32, on the CPU; every tensor's name, shape and type is checked before it is read."""
    config = read_config(folder)
    stored = sum(path.stat().st_size for path in tensor_files(folder))
    if config.num_hidden_layers * config.hidden_size > stored:
        raise UserError(
            f"{folder}: {config.num_hidden_layers} layers of width {config.hidden_size}; the weight files are too "
            "small for them; restore config.json or the weights"
        )
    with torch.device("meta"):
        model = Transformer(config)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    derived = (*_DERIVED, "lm_head.weight") if config.tie_word_embeddings else _DERIVED
    state = read_state(folder, shapes, derived)
    return model_of(config, state), config


def model_of(config: ModelConfig, state: dict[str, torch.Tensor]) -> Transformer:
    """A Transformer around `state` (float32, names as in a model folder), without copying it."""
    with torch.device("meta"):
        model = Transformer(config)
    model.load_state_dict(state, strict=True, assign=True)
    model.frequencies = inverse_frequencies(config)
    return model.requires_grad_(True)


def write_model(
    out: Path,
    model: Transformer,
    tokenizer: Tokenizer,
    lineage: Lineage,
    languages: Sequence[str] = ("ko", "en"),
    beside: Sequence[Path] = (),
) -> None:
    """Writes a model folder with copies of the files and folders `beside` it.

    Raises ProofError when a proof in `lineage` failed, DiskError when the disk refuses.
    """
    config = config_to_hf(model.config)
    state = {name: parameter.detach() for name, parameter in model.named_parameters()}
    with atomic_folder(out) as folder:
        write_tensors(folder / "model.safetensors", state)
        tokenizer.save(folder)
        eos = config["eos_token_id"]
        generation = {
            "bos_token_id": config["bos_token_id"],
            "eos_token_id": eos,
            "pad_token_id": config["pad_token_id"],
        }
        (folder / "config.json").write_text(to_json(config), encoding="utf-8")
        (folder / "generation_config.json").write_text(to_json(generation), encoding="utf-8")
        story: dict[str, Any] = {"stage": lineage.stage, "seed": lineage.seed, "tokens_seen": lineage.tokens_seen}
        story |= {"parents": lineage.parents, "metrics": lineage.metrics, "proofs": [vars(p) for p in lineage.proofs]}
        files = {"model.safetensors": (folder / "model.safetensors").stat().st_size}
        card = model_card(out.name, story, config, languages, "apache-2.0", files)
        (folder / "README.md").write_text(card, encoding="utf-8")
        for path in beside:
            copy = shutil.copytree if path.is_dir() else shutil.copyfile
            copy(path, folder / path.name)
        write_lineage(folder, lineage)
