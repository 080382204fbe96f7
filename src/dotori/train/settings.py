"""Settings of a training run, checked whole before a tensor is made."""

from typing import Literal

from dotori.config import settings
from dotori.errors import UserError
from dotori.model.config import BASE_WIDTH, INIT_STD, SCALE_DEPTH, SCALE_EMB, ModelConfig, mup_config
from dotori.train.schedule import Plan, Shape

# What may change between two slices of one run: it watches the run, or is said to change nothing in its numbers.
FREE = frozenset(
    ("save_every", "validate_every", "validation_bytes", "samples", "sample_tokens")
    + ("on_bad_step", "keep_stable", "tensorboard", "accept_changes")
)


@settings
class Phase:
    """Mixture weights by domain from `start` on: a step (1, 200), a share of the steps (0.9), or "decay".

    `loss_on` says what chat domains teach: the assistant's words only, or all of the conversation.
    """

    weights: dict[str, float]
    start: int | float | Literal["decay"] = 0
    loss_on: Literal["assistant", "all"] = "assistant"

    def __post_init__(self) -> None:
        if not self.weights or min(self.weights.values()) < 0 or sum(self.weights.values()) <= 0:
            raise UserError(f"phase: weights {self.weights}; they must be >= 0 with a positive sum; correct them")
        if not isinstance(self.start, str) and self.start < 0:
            raise UserError(f'phase: start {self.start}; a step, a share below 1 or "decay" is needed; correct it')
        if isinstance(self.start, float) and self.start >= 1:
            raise UserError(f"phase: start {self.start}; a share is below 1 and a step has no point; write one of them")


@settings
class ModelSettings:
    """A new model's shape: our own Granite with MiniCPM's rules; the vocabulary is the tokenizer's.

    `intermediate_size` None is 8/3 of the width, up to a multiple of 32; `num_key_value_heads` None all heads;
    `max_position_embeddings` None the training context. `scale_emb` multiplies the embedding, `scale_depth` /
    sqrt(layers) every block's output, `init_std` is the matrices' at the base width (arXiv 2404.06395, table 7).
    """

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int | None = None
    intermediate_size: int | None = None
    tie_word_embeddings: bool = True
    max_position_embeddings: int | None = None
    scale_emb: float = SCALE_EMB
    scale_depth: float = SCALE_DEPTH
    init_std: float = INIT_STD

    def __post_init__(self) -> None:
        for name in ("scale_emb", "scale_depth", "init_std"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UserError(f"{name}: {getattr(self, name)}; it must be positive; correct it")

    def config(
        self,
        vocab_size: int,
        context: int,
        tokens: tuple[int | None, int | None, int | None],
        base_width: int | None = BASE_WIDTH,
    ) -> ModelConfig:
        """The configuration for a vocabulary, a training context and (BOS, EOS, padding) ids; raises UserError.

        Logits and initial weights are scaled by the width over `base_width`; by none where that is None.
        """
        return mup_config(
            vocab_size=vocab_size,
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size or -(-self.hidden_size // 12) * 32,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            num_key_value_heads=self.num_key_value_heads or self.num_attention_heads,
            max_position_embeddings=self.max_position_embeddings or context,
            tie_word_embeddings=self.tie_word_embeddings,
            scale_emb=self.scale_emb,
            scale_depth=self.scale_depth,
            init_std=self.init_std,
            base_width=base_width or self.hidden_size,
            bos_token_id=tokens[0],
            eos_token_id=tokens[1],
            pad_token_id=tokens[2],
        )


@settings
class TrainSettings:
    """One training run. Exactly one of `tokens`, `steps`, `minutes` says how long it is.

    `minutes` is wall time from the first step, validation and saving included: the stable phase lasts until the time
    left is the decay's share, and the number of decay steps is then fixed once from the measured step time.
    No `phases` means every domain by its number of rows, or the mixture that is branched from. `matrix_lr` is Muon's,
    for matrices inside the layers. optim.py explains `mup`, `scale_embedding_lr` and `independent_weight_decay`;
    `dim_model_base` is the width at which muP's rules change nothing: that of the model whose rates were tuned
    (of a new model; one that is continued keeps its own).
    `model` is the shape of a new model; without it the stage begins from `init`.
    """

    model: ModelSettings | None = None
    tokens: int | None = None
    steps: int | None = None
    minutes: float | None = None

    context: int = 256
    batch_tokens: int = 8192
    micro_batch_tokens: int | Literal["auto"] = "auto"
    seed: int = 0
    phases: tuple[Phase, ...] = ()

    optimizer: Literal["adamw", "muon"] = "adamw"
    lr: float = 0.01
    matrix_lr: float = 0.02
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.1
    independent_weight_decay: bool = False
    mup: bool = True
    dim_model_base: int = BASE_WIDTH
    scale_embedding_lr: bool = False
    clip: float = 1.0

    schedule: Literal["wsd", "cosine", "constant"] = "wsd"
    warmup_steps: int = 50
    decay: Literal["exponential", "linear", "sqrt"] = "sqrt"
    decay_share: float = 0.1
    lr_floor: float = 0.0

    init_optimizer: bool = False
    keep_stable: bool = True
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bf16"] = "auto"
    compile: Literal["auto", "on", "off"] = "auto"

    save_every: int = 100
    validate_every: int = 0
    validation_bytes: int = 200_000
    samples: tuple[str, ...] = ()
    sample_tokens: int = 48
    on_bad_step: Literal["stop", "skip"] = "skip"
    tensorboard: bool = False
    accept_changes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for check in (_length, _batch, _rates, _phases):
            check(self)

    @property
    def rows(self) -> int:
        """Rows of `context` tokens in one step."""
        return self.batch_tokens // self.context

    @property
    def base_width(self) -> int | None:
        """The width from which muP's rules count; None without them."""
        return self.dim_model_base if self.mup else None

    @property
    def total_steps(self) -> int | None:
        """The number of steps, or None when wall time decides."""
        if self.steps is not None:
            return self.steps
        return None if self.tokens is None else max(1, self.tokens // self.batch_tokens)

    @property
    def shape(self) -> Shape:
        """The shape of the decay phase."""
        return "cosine" if self.schedule == "cosine" else self.decay

    @property
    def effective_decay_share(self) -> float:
        """The share of the run that decays: cosine decays throughout, constant never."""
        return {"wsd": self.decay_share, "cosine": 1.0, "constant": 0.0}[self.schedule]


def planned_phases(s: TrainSettings, plan: Plan | None) -> list[tuple[int, Phase]]:
    """Each phase with the step at which it begins.

    One that waits for a decay not yet planned is left out; one that would begin after the decay's phase is dropped.
    """
    known = [(_first_step(phase, s), phase) for phase in s.phases if phase.start != "decay"]
    if plan is None or not s.phases or s.phases[-1].start != "decay":
        return known
    return [(step, phase) for step, phase in known if step < plan.decay_start] + [(plan.decay_start, s.phases[-1])]


def _length(s: TrainSettings) -> None:
    given = {name: getattr(s, name) for name in ("tokens", "steps", "minutes") if getattr(s, name) is not None}
    if len(given) != 1:
        raise UserError(f"length: got {given or 'none'}; exactly one of tokens, steps, minutes is needed; give one")
    [(name, value)] = given.items()
    if not 0 < value < float("inf"):
        raise UserError(f"{name}: {value}; it must be positive; correct it")
    if s.minutes is not None and s.effective_decay_share == 1.0:
        raise UserError(
            "minutes: a run that decays from its start has no stable phase in which to measure its speed; "
            'it needs schedule = "wsd" with decay_share below 1, or "constant"; change it or give tokens or steps'
        )


def _batch(s: TrainSettings) -> None:
    if s.context < 2:
        raise UserError(f"context: {s.context}; at least 2 tokens are needed; correct it")
    if s.batch_tokens <= 0 or s.batch_tokens % s.context:
        near = max(1, round(s.batch_tokens / s.context)) * s.context
        raise UserError(f"batch_tokens: {s.batch_tokens}; a multiple of context ({s.context}) is needed; write {near}")
    if s.micro_batch_tokens != "auto" and s.micro_batch_tokens < s.context:
        raise UserError(
            f"micro_batch_tokens: {s.micro_batch_tokens}; at least one row of context ({s.context}) is needed; raise it"
        )


def _rates(s: TrainSettings) -> None:
    limits = {
        "lr": (s.lr, 0, float("inf")),
        "matrix_lr": (s.matrix_lr, 0, float("inf")),
        "decay_share": (s.decay_share, 0, 1),
        "lr_floor": (s.lr_floor, 0, 1),
        "clip": (s.clip, 0, float("inf")),
        "weight_decay": (s.weight_decay, 0, float("inf")),
        "dim_model_base": (s.dim_model_base, 1, 10**6),
        "beta1": (s.beta1, 0, 0.9999),
        "beta2": (s.beta2, 0, 0.999999),
        "warmup_steps": (s.warmup_steps, 0, 10**9),
        "save_every": (s.save_every, 1, 10**9),
        "validate_every": (s.validate_every, 0, 10**9),
        "sample_tokens": (s.sample_tokens, 1, 10**6),
        "validation_bytes": (s.validation_bytes, 1, 10**12),
        "seed": (s.seed, 0, 2**63 - 1),
    }
    for name, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise UserError(f"{name}: {value}; it must lie in {low}..{high}; correct it")
    if s.lr == 0 or s.clip == 0:
        raise UserError(f"lr {s.lr}, clip {s.clip}: neither may be 0, nothing would be learnt; raise it")


def _phases(s: TrainSettings) -> None:
    if s.phases and s.phases[0].start != 0:
        raise UserError("phases: the first must start at 0; it gives the mixture to begin with; add or correct it")
    for phase in s.phases[1:]:
        if isinstance(phase.start, float) and s.minutes is not None:
            raise UserError(
                f'phase: start {phase.start}; a run by minutes has no share of steps; write a step or "decay"'
            )
        if phase.start == "decay" and s.effective_decay_share == 0:
            raise UserError('phase: start "decay", but nothing decays in this run; set decay_share or drop the phase')
        if phase.start == "decay" and phase is not s.phases[-1]:
            raise UserError("phases: one starts with the decay and another stands behind it; put the former last")
    known = [_first_step(phase, s) for phase in s.phases if phase.start != "decay"]
    if known != sorted(set(known)):
        raise UserError(f"phases: they start at steps {known}; each must start after the one before; order them")


def _first_step(phase: Phase, s: TrainSettings) -> int:
    if isinstance(phase.start, float):
        return round(phase.start * (s.total_steps or 0))
    return int(phase.start)
