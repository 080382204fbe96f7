"""The tokenizer stage of a recipe: the texts of data domains, and a tokenizer folder with its lineage."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import TypeAdapter

from dotori.checkpoint.lineage import Lineage, Proof, write_lineage
from dotori.config import settings
from dotori.data.build import iterate_texts
from dotori.data.settings import DomainSettings
from dotori.data.sources import find_files
from dotori.errors import UserError
from dotori.files import atomic_folder, read_json
from dotori.runlog import RunLog
from dotori.tokenizer.train_bpe import TokenizerSettings, train_tokenizer


@settings
class VocabularySettings:
    """vocab_size: tokens, special ones included; max_bytes: text after which reading stops; domains: where it reads,
    files in turn.

    `domains = "${data.domains}"` reads what the table [data] reads.
    """

    domains: dict[str, DomainSettings]
    vocab_size: int = 4096
    max_bytes: int = 200_000_000

    def __post_init__(self) -> None:
        if not self.domains:
            raise UserError('domains: none; a tokenizer needs text; name some, for example "${data.domains}"')
        self.training()

    def training(self) -> TokenizerSettings:
        """The settings of the trainer itself; raises UserError for an impossible size."""
        return TokenizerSettings(vocab_size=self.vocab_size, max_bytes=self.max_bytes)


def vocabulary_files(s: VocabularySettings) -> Iterable[Path]:
    """The files that the tokenizer learns from."""
    return [path for domain in s.domains.values() if domain.paths for path in find_files(domain.paths)]


def make_tokenizer(s: VocabularySettings, out: Path, log: RunLog) -> None:
    """Stage: a tokenizer folder with `fertility.json` and `lineage.json`."""
    with atomic_folder(out) as folder:
        made = folder / "made"
        train_tokenizer(s.training(), iterate_texts(s.domains), made, log)
        for path in made.iterdir():
            os.rename(path, folder / path.name)
        made.rmdir()
        report = read_json(folder / "fertility.json", "tokenizer folder")
        lineage = Lineage(
            stage="tokenizer",
            settings=TypeAdapter(VocabularySettings).dump_python(s, mode="json"),
            metrics={key: report[key] for key in ("vocab_size", "documents", "bytes", "languages")},
            proofs=tuple(Proof(**proof) for proof in report["proofs"]),
        )
        write_lineage(folder, lineage)
