"""Korean particles by final consonant, and honorific ones for elders."""

from __future__ import annotations

# After a consonant, after a vowel.
_PAIRS = {
    "는": ("은", "는"),
    "가": ("이", "가"),
    "를": ("을", "를"),
    "와": ("과", "와"),
    "로": ("으로", "로"),
    "였어요": ("이었어요", "였어요"),
    "예요": ("이에요", "예요"),
    "아": ("아", "야"),
    "랑": ("이랑", "랑"),
    "나": ("이나", "나"),
}
_HONORIFIC = {"는": "께서는", "가": "께서", "에게": "께"}
_FIRST, _LAST, _FINALS, _RIEUL = 0xAC00, 0xD7A3, 28, 8


def final_consonant(word: str) -> int:
    """The last syllable's final consonant by number, 0 for none or no Hangul; 8 is ㄹ."""
    code = ord(word[-1]) if word else 0
    return (code - _FIRST) % _FINALS if _FIRST <= code <= _LAST else 0


def particle(word: str, name: str) -> str:
    """The form of particle `name` (its form after a vowel) behind `word`; a particle with one form is itself."""
    pair = _PAIRS.get(name)
    if pair is None:
        return name
    final = final_consonant(word)
    if name == "로" and final == _RIEUL:
        return "로"
    return pair[0] if final else pair[1]


def with_particle(word: str, name: str, honored: bool = False) -> str:
    """`word` and its particle; subjects and receivers that are honored take 께서, 께서는, 께."""
    return word + (_HONORIFIC[name] if honored and name in _HONORIFIC else particle(word, name))


def allomorphs() -> dict[str, str]:
    """Every form that has another -> the name of its particle, longest forms first."""
    forms = {form: name for name in ("는", "가", "를", "와", "로") for form in _PAIRS[name]}
    return dict(sorted(forms.items(), key=lambda item: -len(item[0])))
