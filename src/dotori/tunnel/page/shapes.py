"""The chapters' JSON as the page reads it: null is what could not be measured, keys not named here are ignored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from dotori.errors import UserError
from dotori.files import read_json

Number = float | None
_ABSURD = 1e60


def _numeric(text: str) -> str:
    if not 1 / _ABSURD < float(text) < _ABSURD:
        raise ValueError("a key must be a positive number")
    return text


Key = Annotated[str, AfterValidator(_numeric)]  # a width, a rate or a count of tokens, written as a JSON key
Positive = Annotated[float, Field(gt=1 / _ABSURD)]
Exponent = Annotated[float, Field(ge=-100, le=100)]
Range = tuple[Number, Number] | None


class Slope(TypedDict):
    """Exponent of an activation's growth with width, with its 95 % interval."""

    slope: Exponent | None
    low: NotRequired[Number]
    high: NotRequired[Number]


class CheckVariant(TypedDict):
    """Mean |activation| per layer and width after each step, and how it grows."""

    activations: dict[str, dict[Key, list[Number]]]
    slopes: NotRequired[dict[str, Slope]]
    passed: NotRequired[bool | None]
    shrinks: NotRequired[list[str]]


class Check(TypedDict):
    """check.json: the coordinate check."""

    variants: dict[str, CheckVariant]
    widths: NotRequired[list[int]]
    steps: NotRequired[int | None]
    dim_model_base: NotRequired[int]
    passed: NotRequired[bool | None]
    evidence: NotRequired[list[str]]
    core_seconds: NotRequired[Number]
    tokens: NotRequired[Number]


class Trial(TypedDict):
    """One trial of the search."""

    number: int
    params: dict[str, Any]
    bits_per_byte: Number
    status: str
    run: NotRequired[str | None]


class Search(TypedDict):
    """search.json: random and guided trials on the smallest width."""

    trials: list[Trial]
    best: NotRequired[dict[str, Any] | None]
    default: NotRequired[dict[str, Any] | None]
    chosen: NotRequired[dict[str, Any] | None]
    best_bits_per_byte: NotRequired[Number]
    default_bits_per_byte: NotRequired[Number]
    noise: NotRequired[Number]
    repeats: NotRequired[Positive]
    is_better: NotRequired[bool | None]
    importance: NotRequired[dict[str, Number] | None]
    tokens_a_run: NotRequired[Number]
    evidence: NotRequired[list[str]]
    core_seconds: NotRequired[Number]
    tokens: NotRequired[Number]


class TransferVariant(TypedDict):
    """Learning-rate bowls by width; `drift_steps` in doublings of the rate, the widest model less the narrowest."""

    bowls: dict[Key, dict[Key, list[Number]]]
    optimum: NotRequired[dict[Key, Number] | None]
    interval: NotRequired[dict[Key, Range] | None]
    is_edge: NotRequired[dict[Key, bool | None] | None]
    drift_steps: NotRequired[Exponent | None]
    drift_interval: NotRequired[Range]


class Transfer(TypedDict):
    """transfer.json: whether one learning rate serves all widths."""

    variants: dict[str, TransferVariant]
    widths: NotRequired[list[int]]
    noise: NotRequired[Number]
    own_variant: NotRequired[str | None]
    chosen: NotRequired[dict[str, Number] | None]
    tokens_a_run: NotRequired[Number]
    evidence: NotRequired[list[str]]
    core_seconds: NotRequired[Number]
    tokens: NotRequired[Number]


class BatchCurve(TypedDict):
    """Loss against tokens, of one width and batch."""

    width: int
    batch_tokens: Positive
    points: list[tuple[Positive, Number]]


class Minimum(TypedDict):
    """The batch that reached `loss` with the fewest tokens."""

    width: int
    loss: Positive
    batch_tokens: Positive
    is_edge: NotRequired[bool | None]


class Law(TypedDict):
    """batch = a / loss^b."""

    a: Positive
    b: Exponent
    b_interval: NotRequired[Range]
    r2: NotRequired[Number]


class Batch(TypedDict):
    """batch.json: the batch law. `unit` of its losses: bits per byte unless it says otherwise."""

    curves: list[BatchCurve]
    minima: NotRequired[list[Minimum]]
    law: NotRequired[Law | None]
    why: NotRequired[str | None]
    priors: NotRequired[dict[str, Number] | None]
    chosen_batch_tokens: NotRequired[Number]
    unit: NotRequired[str | None]
    tokens_a_run: NotRequired[Number]
    evidence: NotRequired[list[str]]
    core_seconds: NotRequired[Number]
    tokens: NotRequired[Number]


class Mix(TypedDict):
    """A run with instruction data in its decay or after it."""

    answers_bpb: NotRequired[Number]
    text_bpb: NotRequired[Number]


class Schedules(TypedDict):
    """schedules.json: decays from one trunk beside separate cosine runs."""

    wsd: dict[Key, Number]
    cosine: dict[Key, Number]
    lengths: NotRequired[list[int]]
    noise: NotRequired[Number]
    wsd_tokens: NotRequired[Number]
    cosine_tokens: NotRequired[Number]
    share: NotRequired[Number]
    decay_share: NotRequired[Number]
    trunk: NotRequired[list[tuple[Positive, Number]]]
    decay_lengths: NotRequired[dict[Key, Number] | None]
    forms: NotRequired[dict[str, Number] | None]
    best_share: NotRequired[Number]
    best_form: NotRequired[str | None]
    mixing: NotRequired[dict[str, Mix] | None]
    mixing_noise: NotRequired[Number]
    evidence: NotRequired[list[str]]
    core_seconds: NotRequired[Number]
    tokens: NotRequired[Number]


class LadderPoint(TypedDict):
    """One finished run: `n` training FLOPs a token / 6 (head and attention included), `d` tokens, `seed` its number."""

    n: Positive
    d: Positive
    bits_per_byte: dict[str, Number]
    width: NotRequired[int | None]
    layers: NotRequired[int | None]
    seed: NotRequired[int | None]
    tokens_unique: NotRequired[Number]
    run: NotRequired[str | None]


class LawOfSize(TypedDict):
    """bits per byte = e + ((a n^-alpha)^(1/gamma) + (b d^-beta)^(1/gamma))^gamma."""

    e: float
    a: float
    alpha: Exponent
    b: float
    beta: Exponent
    gamma: Annotated[float, Field(gt=0.01, le=1)]


class Optimal(TypedDict):
    """The best use of `flops`: `ratio` tokens per parameter."""

    flops: Number
    n: Number
    d: Number
    ratio: Number
    low: Number
    high: Number


class Band(TypedDict):
    """A predicted figure and its 95 % interval; `additive`: what the plain sum of both terms says."""

    value: Number
    low: NotRequired[Number]
    high: NotRequired[Number]
    additive: NotRequired[Number]


class Budget(TypedDict):
    """What to train in `minutes` of the machine, with `flops` of compute, and what the law foretells of it.

    `good_widths`: the smallest and the largest that are as good as far as the law tells.
    """

    minutes: Positive
    width: int
    layers: int
    n: Positive
    d: Positive
    flops: Positive
    good_widths: tuple[int, int]
    languages: dict[str, Band]


class HeldOut(TypedDict):
    """What the run that was foretold reached."""

    bits_per_byte: NotRequired[dict[str, Number] | None]
    run: NotRequired[str | None]
    status: NotRequired[str | None]


class LadderRates(TypedDict):
    """Which `factor` of the bowls' rate served runs of `tokens` best; `tried`: factor -> bits per byte."""

    factor: Number
    tried: dict[Key, Number]
    tokens: Number
    width: NotRequired[int | None]


class Ladder(TypedDict):
    """ladder.json: the law of model size and data.

    `band`: per language rows (flops, value, low, high) of the best that the law gives for that compute.
    `prediction`: n, d, flops, times_largest, and a Band per language.
    """

    points: list[LadderPoint]
    rates: NotRequired[LadderRates | None]
    chosen: NotRequired[dict[str, Number] | None]
    unique_tokens: NotRequired[Number]
    fits: NotRequired[dict[str, LawOfSize | None] | None]
    band: NotRequired[dict[str, list[tuple[Positive, Number, Number, Number]] | None] | None]
    optimal: NotRequired[dict[str, Optimal | None] | None]
    budgets: NotRequired[list[Budget] | None]
    prediction: NotRequired[dict[str, Band | Number | str] | None]
    held_out: NotRequired[HeldOut | None]
    evidence: NotRequired[list[str]]
    core_seconds: NotRequired[Number]
    tokens: NotRequired[Number]


SHAPES: dict[str, Any] = {
    "check": Check,
    "search": Search,
    "transfer": Transfer,
    "batch": Batch,
    "schedules": Schedules,
    "ladder": Ladder,
}


def read_chapters(folder: Path) -> dict[str, dict[str, Any]]:
    """The chapters that were run, in their order; raises UserError naming the file that is not as it must be."""
    found = {}
    for name in SHAPES:
        path = folder / f"{name}.json"
        if path.exists():
            found[name] = _valid(SHAPES[name], without_nan(read_json(path, f"the chapter {name}")), path)
    return found


def without_nan(value: Any) -> Any:
    """The JSON value with null for every number that is not finite, or too large or small to be measured."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    is_measure = not isinstance(value, float) or value == 0 or 1 / _ABSURD < abs(value) < _ABSURD
    return value if is_measure else None


def _valid(shape: Any, value: Any, path: Path) -> Any:
    try:
        return TypeAdapter(shape).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise UserError(
            f"{path}: {place} got {str(first['input'])[:80]!r}; {first['msg']}; "
            f"delete the file and run `dotori tunnel {path.stem}` again"
        ) from None
