"""Settings of the data stage, checked whole before a file is read."""

from __future__ import annotations

from typing import Literal

from dotori.config import settings
from dotori.data.clean import CleanSettings
from dotori.errors import UserError


@settings
class StorySettings:
    """A part of the embedded story world; `kinds` are weights of kinds of documents, None the default ones."""

    seed: int = 1
    count: int = 20_000
    vocabulary: str | int = "small"
    kinds: dict[str, float] | None = None


@settings
class DomainSettings:
    """One named part of the data: files, or the story world. `limit_bytes` stops it after so much text."""

    paths: tuple[str, ...] = ()
    storyworld: StorySettings | None = None
    format: Literal["text", "chat"] = "text"
    field: str = "text"
    lang: Literal["ko", "en"] | None = None
    limit_bytes: int | None = None

    def __post_init__(self) -> None:
        if bool(self.paths) == (self.storyworld is not None):
            raise UserError(f"domain: paths {list(self.paths)}; either paths or storyworld is needed, not both; choose")
        if self.limit_bytes is not None and self.limit_bytes < 1:
            raise UserError(f"limit_bytes: {self.limit_bytes}; it must be positive; correct it or leave it out")


@settings
class DataSettings:
    """`root` is there for ${data.root} in paths. `decontaminate`: evaluation files whose text must not occur."""

    domains: dict[str, DomainSettings]
    root: str = ""
    validation_share: float = 0.02
    near_duplicates: bool = True
    decontaminate: tuple[str, ...] = ()
    clean: CleanSettings = CleanSettings()

    def __post_init__(self) -> None:
        if not self.domains:
            raise UserError("domains: none; a dataset needs at least one; add a table such as [data.domains.text]")
        if not 0 <= self.validation_share <= 0.5:
            raise UserError(f"validation_share: {self.validation_share}; a share from 0 to 0.5 is needed; correct it")
        for name in self.domains:
            if not name.replace("-", "").replace("_", "").isalnum():
                raise UserError(f"domain {name!r}: names a folder; letters, digits, - and _ only; rename it")
