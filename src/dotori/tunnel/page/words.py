"""Figures and names in plain words, as the page says them: 1.732, 0.4 to 1.1, Korean, width rules on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeGuard

from dotori.report.svg import short

_LANGUAGES = {"ko": "Korean", "en": "English"}
_VARIANT_WORDS = {
    "mup": "width rules on",
    "standard": "width rules off",
    "adamw": "AdamW",
    "muon": "Muon",
    "lr": "learning rate",
}
_SETTINGS = {
    "lr": "learning rate",
    "matrix_lr": "learning rate of matrices (Muon)",
    "init_std": "size of the first weights (init_std)",
    "scale_emb": "factor after the embedding (scale_emb)",
    "scale_depth": "factor of the layers (scale_depth)",
    "batch_tokens": "tokens in one step",
    "weight_decay": "weight decay",
}
_FORMS = {"linear": "straight line", "exponential": "halving", "sqrt": "1 - square root", "average": "averaged weights"}
_MINUS = "−"


def language(code: str) -> str:
    """`Korean` for `ko`; an unknown code as it is."""
    return _LANGUAGES.get(code, code)


def variant_name(key: str) -> str:
    """`width rules on, AdamW` for `mup adamw`; words it does not know stay."""
    words = [_VARIANT_WORDS.get(word, word) for word in key.replace(",", " ,").split()]
    text = " ".join(words).replace(" ,", ",")
    for name in ("width rules on", "width rules off"):
        if text.startswith(name + " "):
            text = text.replace(name + " ", name + ", ", 1)
    return text[:1].upper() + text[1:]


def setting_name(key: str) -> str:
    """A setting for people, its key kept where a recipe needs it."""
    return _SETTINGS.get(key, key.replace("_", " "))


def form_name(key: str) -> str:
    """The shape of a decay in words."""
    return _FORMS.get(key, key)


def figure(value: object, digits: int = 3) -> str:
    """A number with `digits` significant figures, no exponent where it can be avoided; a dash for none."""
    if not is_number(value):
        return "—" if value is None else str(value)
    number = float(value)
    if abs(number) >= 1e4:
        return short(number)
    text = f"{number:.{digits}g}"
    if "e" in text:
        whole = 10.0 ** (math.floor(math.log10(abs(number))) + 1 - digits) if number else 1.0
        text = (
            f"{round(number / whole) * whole:.0f}"
            if abs(number) >= 1
            else f"{number:.{digits + 3}f}".rstrip("0").rstrip(".")
        )
        text = text if float(text) or not number else f"{number:.1e}"
    return text.replace("-", _MINUS) if number < 0 else text


def count(value: float | None) -> str:
    """A count in short: `12.4M`; a dash for none."""
    return "—" if value is None else short(float(value))


def bits(value: float | None) -> str:
    """Bits per byte with three decimals; a dash for none."""
    return "—" if value is None else f"{value:.3f}"


def percent(share: float | None) -> str:
    """A share in per cent: `2.5 %`."""
    return "—" if share is None else f"{figure(100 * share, 2 if share < 0.995 else 3)} %"


def between(low: float | None, high: float | None, digits: int = 2) -> str:
    """`0.4 to 1.1`; a dash where an end is missing."""
    return f"{figure(low, digits)} to {figure(high, digits)}"


def times(value: float) -> str:
    """How many times: `4.2 times`."""
    return f"{figure(value, 2)} times"


def flops(value: float | None) -> str:
    """Compute in FLOP: `3.2 × 10¹⁴`."""
    if value is None or value <= 0:
        return "—"
    power = math.floor(math.log10(value) + 1e-9)
    lead = value / 10**power
    return (f"{lead:.2g} × " if abs(lead - 1) > 1e-6 else "") + ten_to(power)


def ten_to(power: int) -> str:
    """`10¹²`."""
    return "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def plural(number: int, noun: str) -> str:
    """`1 run`, `12 runs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def listing(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a finite number (a bool is none)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def numbers(values: Sequence[float | None]) -> list[float]:
    """Those that are numbers."""
    return [float(value) for value in values if value is not None]
