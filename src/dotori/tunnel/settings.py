"""Settings of a wind tunnel, and the shapes of its models: multiples of one unit, wide and deep in proportion."""

from __future__ import annotations

from dataclasses import replace

from dotori.config import settings
from dotori.errors import UserError
from dotori.train.settings import ModelSettings, TrainSettings

CHAPTERS = ("check", "search", "transfer", "batch", "schedules", "ladder")
# Shares of the budget, measured to let every chapter say something at 60 minutes on two cores.
SHARES = {"check": 0.03, "search": 0.08, "transfer": 0.24, "batch": 0.12, "schedules": 0.15, "ladder": 0.38}
# A chapter alone takes at most this long, whatever the budget.
CHAPTER_MINUTES = 20.0


@settings
class TunnelSettings:
    """What the tunnel varies. `train` is the run it starts from: data mixture, context, batch, optimizer, rates.

    `minutes`: wall time of all chapters. `unit`: width of one attention head; every width is a multiple of it.
    `bowl_heads`, `ladder_heads`, `held_out_heads`: widths in units; in the ladder a model of n units has n layers.
    `chat`: weights of the conversation domains for the decay's mixture; none: all of the dataset's, equally.
    """

    train: TrainSettings
    minutes: float = 60.0
    unit: int = 24
    check_widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    check_steps: int = 8
    search_heads: int = 3
    search_trials: int = 24
    bowl_heads: tuple[int, ...] = (1, 2, 4, 8)
    bowl_layers: int = 2
    batch_heads: tuple[int, ...] = (2, 4)
    batch_sizes: tuple[int, ...] = (256, 512, 1024, 2048, 4096, 8192)
    schedule_heads: int = 2
    ladder_heads: tuple[int, ...] = (2, 3, 4, 5)
    held_out_heads: int = 6
    held_out_times: float = 4.0
    seeds: int = 2
    chat: dict[str, float] | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.minutes < 100_000:
            raise UserError(f"budget: {self.minutes:g} minutes; it must be positive; give one, for example 60m")
        if not self.train.mup or self.train.scale_embedding_lr or self.train.independent_weight_decay:
            raise UserError(
                "train: mup, scale_embedding_lr or independent_weight_decay is changed; the tunnel compares these "
                "rules itself, from a base run that keeps their defaults; leave them out"
            )
        if self.unit < 8 or self.unit % 8:
            raise UserError(f"unit: {self.unit}; a head's width must be a multiple of 8; correct it")
        if max(self.bowl_heads) < 8 * min(self.bowl_heads) or len(set(self.bowl_heads)) < 4:
            raise UserError(
                f"bowl_heads: {self.bowl_heads}; four widths over an 8-fold range show a drift; write (1, 2, 4, 8)"
            )
        if len(set(self.ladder_heads)) < 3 or self.held_out_heads <= max(self.ladder_heads):
            raise UserError(
                f"ladder_heads {self.ladder_heads}, held_out_heads {self.held_out_heads}: three sizes at least, and "
                "the held-out one larger than all; correct them"
            )
        for size in self.batch_sizes:
            if size % self.train.context:
                raise UserError(f"batch_sizes: {size}; a multiple of the context ({self.train.context}) is needed")
        if self.seeds < 2:
            raise UserError(f"seeds: {self.seeds}; two at least tell noise from effect; raise it")


def base_settings() -> TrainSettings:
    """What the tunnel starts from where no recipe says: the run of recipes/tunnel_koen.toml, on the dataset's text."""
    shape = ModelSettings(hidden_size=72, num_hidden_layers=3, num_attention_heads=3)
    return TrainSettings(
        model=shape,
        steps=1000,
        context=128,
        batch_tokens=1024,
        optimizer="muon",
        lr=0.01,
        matrix_lr=0.02,
        weight_decay=0.0,
        dim_model_base=72,
        warmup_steps=20,
        decay="sqrt",
        decay_share=0.4,
    )


def shape(s: TunnelSettings, heads: int, layers: int) -> ModelSettings:
    """A model `heads` units wide; all else as the base model has it."""
    base = s.train.model or ModelSettings(hidden_size=s.unit, num_hidden_layers=1, num_attention_heads=1)
    return replace(
        base,
        hidden_size=heads * s.unit,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=None,
        intermediate_size=None,
        max_position_embeddings=None,
    )
