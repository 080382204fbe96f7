"""The models that are served, by name. A name from a request is looked up here and never becomes a path."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dotori.errors import UserError
from dotori.serve.engine import Engine
from dotori.serve.errors import ApiError, invalid, shortened, too_long
from dotori.serve.grammar import Grammars
from dotori.tokenizer.chat import CHATML, Message

_NAME = re.compile(r"[\w][\w.+-]{0,127}")


class Served:
    """One model: its name, engine and grammars."""

    def __init__(self, name: str, engine: Engine) -> None:
        """Raises UserError for a name that could be taken for a path."""
        check_names([name])
        self.name, self.engine, self.created = name, engine, int(time.time())
        self.context: int = engine.context
        self.grammars = Grammars(engine.session)
        tokenizer = engine.session.tokenizer
        # Bytes of the longest token: that many times the context is the longest text that can fit.
        self._longest = max(1, max(len(tokenizer.token_bytes(index)) for index in range(tokenizer.rows)))

    @property
    def has_quick_template(self) -> bool:
        """Whether its chat template is the one that takes no Jinja; others may loop for seconds."""
        return self.engine.session.tokenizer.chat_template == CHATML

    def chat_prompt(self, messages: Sequence[Message], param: str) -> list[int]:
        """Ids of a conversation, ready for the answer. Raises ApiError when it leaves no room for one."""
        self._refuse_huge(sum(len(message["content"].encode()) for message in messages), param)
        with self.errors(param):
            return self._fitting(self.engine.session.chat(messages), param)

    def text_prompt(self, text: str, param: str) -> list[int]:
        """Ids of a document that begins with `text`, BOS before it where the model has one. Raises ApiError."""
        self._refuse_huge(len(text.encode()), param)
        session = self.engine.session
        with self.errors(param):
            ids = [*([] if session.bos_id is None else [session.bos_id]), *session.tokenize(text)]
        if not ids:
            raise invalid(f"{param}: empty; this model needs at least one token; send some text", param)
        return self._fitting(ids, param)

    def ids_prompt(self, ids: Sequence[int], param: str) -> list[int]:
        """`ids`, checked. Raises ApiError."""
        if max(ids) >= (size := self.engine.session.vocab_size):
            raise invalid(f"{param}: token id {max(ids)}; 0 to {size - 1}; use this model's own tokenizer", param)
        return self._fitting(list(ids), param)

    def beginning(self, text: str) -> list[int]:
        """Ids of as much of `text` as the context holds."""
        session = self.engine.session
        text = text.encode()[: self.context * self._longest].decode(errors="ignore")
        ids = [*([] if session.bos_id is None else [session.bos_id]), *session.tokenize(text)]
        return ids[: self.context]

    def _refuse_huge(self, size: int, param: str) -> None:
        """Spares tokenizing a text that no tokenization could make fit."""
        if size > self.context * self._longest:
            raise too_long(param, size // self._longest, self.context, exact=False)

    def _fitting(self, ids: list[int], param: str) -> list[int]:
        if len(ids) >= self.context:
            raise too_long(param, len(ids), self.context)
        return ids

    @contextmanager
    def errors(self, param: str | None = None) -> Iterator[None]:
        """What the model refuses is the request's fault; its path on disk is nobody's business."""
        try:
            yield
        except UserError as error:
            raise invalid(str(error).replace(str(self.engine.session.path), self.name), param) from None

    def card(self) -> dict[str, Any]:
        """What /v1/models tells about it."""
        return {
            "id": self.name,
            "object": "model",
            "created": self.created,
            "owned_by": "dotori",
            "context": self.context,
        }


class Catalog:
    """The served models in the order of the command line."""

    def __init__(self, models: Sequence[Served]) -> None:
        """Raises UserError for no model, or two of one name."""
        check_names([served.name for served in models])
        self._models = {served.name: served for served in models}

    def __iter__(self) -> Iterator[Served]:
        return iter(self._models.values())

    def find(self, name: str) -> Served:
        """The model `name`; raises ApiError 404."""
        if name not in self._models:
            raise ApiError(
                404,
                f"model: {shortened(name)}; served here: {', '.join(self._models)}; name one of them",
                "model_not_found",
                "model",
            )
        return self._models[name]

    @property
    def first(self) -> Served:
        """The model for requests that name none."""
        return next(iter(self))


def check_names(names: Sequence[str]) -> None:
    """Raises UserError for no name, two equal ones, or one that could be taken for a path."""
    if not names:
        raise UserError("models: none; at least one is needed; name an export folder or a .gguf file")
    for place, name in enumerate(names):
        if not _NAME.fullmatch(name):
            raise UserError(
                f"model name: {name!r}; letters, digits, '.', '_', '+' and '-'; give another one: NAME=PATH"
            )
        if name in names[:place]:
            raise UserError(f"model name: {name!r} twice; each needs its own; give them names: {name}-2=PATH")


def model_name(path: Path) -> str:
    """The name of the model at `path`: an export folder's, or a file's without its ending."""
    whole = path.absolute()
    return whole.stem if whole.suffix == ".gguf" else whole.name
