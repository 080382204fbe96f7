"""A run that continues a model."""

from dataclasses import replace

import torch
from safetensors.torch import load_file

from dotori.runlog import RunLog
from dotori.train.settings import ModelSettings, Phase, TrainSettings
from dotori.train.stage import train_to


def test_a_continued_model_keeps_its_base_width(micro_run, tmp_path):
    """With AdamW the rate of matrices is lr / r; r is the model's, not that of the default base width."""
    shape = ModelSettings(hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    phases = (Phase(weights={"story": 1.0}),)
    new = TrainSettings(
        model=shape, dim_model_base=64, steps=2, context=64, batch_tokens=256, lr=0.003, warmup_steps=0, phases=phases
    )
    more = replace(new, model=None)

    def weights(name, settings, init):
        with RunLog(quiet=True) as log:
            train_to(settings, init, micro_run / "data", tmp_path / name, log, lambda: None, "train", (), {})
        return load_file(tmp_path / name / "model.safetensors")

    begun = weights("new", new, None)
    said = weights("said", more, tmp_path / "new")
    silent = weights("silent", replace(more, dim_model_base=256), tmp_path / "new")
    name = "model.layers.0.mlp.down_proj.weight"
    assert not torch.equal(begun[name], said[name])
    assert torch.equal(said[name], silent[name])
