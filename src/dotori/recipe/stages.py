"""The one literal table of stages: kind -> settings class, inputs, outside files, and the function that does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotori.adapt.sft import sft_stage
from dotori.data.build import build_dataset, plan_units
from dotori.data.settings import DataSettings
from dotori.evaluate.stage import EvaluateSettings, evaluate_models, evaluation_files
from dotori.export.gguf import ExportSettings, export_gguf
from dotori.recipe.vocabulary import VocabularySettings, make_tokenizer, vocabulary_files
from dotori.report.html import ReportSettings, write_report
from dotori.runlog import RunLog
from dotori.train.settings import FREE, TrainSettings
from dotori.train.stage import train_stage


@dataclass(frozen=True)
class Input:
    """A folder that a stage takes: `what` says which in errors; `many` allows several."""

    name: str
    what: str
    required: bool = True
    many: bool = False


@dataclass(frozen=True)
class StageWork:
    """What a stage is given: its settings, its input folders by input name, where its folder goes, and when to stop."""

    settings: Any
    inputs: dict[str, list[Path]]
    out: Path
    log: RunLog
    stop: Callable[[], str | None]

    def one(self, name: str) -> Path:
        """The only folder of a required input."""
        return self.inputs[name][0]

    def optional(self, name: str) -> Path | None:
        """The only folder of an input that may be missing."""
        return next(iter(self.inputs.get(name, [])), None)


@dataclass(frozen=True)
class StageKind:
    """A row of the table.

    `files`: outside files whose contents decide the result; `takes_all`: fed by every table; `asks_stop`: it looks at
    `StageWork.stop` and saves, where other stages are broken off; `free`: settings that change nothing in the result.
    """

    settings: type
    run: Callable[[StageWork], None]
    inputs: tuple[Input, ...] = ()
    files: Callable[[Any], Iterable[Path]] = lambda settings: ()
    takes_all: bool = False
    asks_stop: bool = False
    free: frozenset[str] = frozenset()


def _data_files(settings: DataSettings) -> list[Path]:
    return [unit.path for unit in plan_units(settings) if unit.path is not None]


_DATA = Input("data", "a data stage")

STAGES: dict[str, StageKind] = {
    "tokenizer": StageKind(
        VocabularySettings,
        lambda work: make_tokenizer(work.settings, work.out, work.log),
        files=vocabulary_files,
    ),
    "data": StageKind(
        DataSettings,
        lambda work: build_dataset(work.settings, work.one("tokenizer"), work.out, work.log),
        inputs=(Input("tokenizer", "a tokenizer stage"),),
        files=_data_files,
    ),
    "train": StageKind(
        TrainSettings,
        lambda work: train_stage(work.settings, work.optional("init"), work.one("data"), work.out, work.log, work.stop),
        inputs=(_DATA, Input("init", "the stage or folder of a model", required=False)),
        asks_stop=True,
        free=FREE,
    ),
    "sft": StageKind(
        TrainSettings,
        lambda work: sft_stage(work.settings, work.one("init"), work.one("data"), work.out, work.log, work.stop),
        inputs=(_DATA, Input("init", "the stage or folder of a model")),
        asks_stop=True,
        free=FREE,
    ),
    "export": StageKind(
        ExportSettings,
        lambda work: export_gguf(work.settings, work.one("model"), work.out, work.log),
        inputs=(Input("model", "the stage of a model"),),
    ),
    "evaluate": StageKind(
        EvaluateSettings,
        lambda work: evaluate_models(work.settings, work.inputs["models"], work.out, work.log),
        inputs=(Input("models", "stages of models or exports", many=True),),
        files=evaluation_files,
    ),
    "report": StageKind(
        ReportSettings,
        lambda work: write_report(work.settings, work.out.parent, work.out),
        takes_all=True,
    ),
}
