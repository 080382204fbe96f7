"""Chat templates of strangers, rendered without trusting them.

Jinja's immutable sandbox keeps a template away from Python; what it does not do is bound work and memory. Here every
loop step, call, join, copy and output character is paid for from one purse, filters and methods come from short lists,
and the purse also has a deadline. A template that spends too much ends in a UserError.
"""

from __future__ import annotations

import functools
import json
import re
import time
from collections.abc import Iterable, Iterator
from types import CodeType
from typing import Any, cast

import jinja2
from jinja2 import nodes
from jinja2.defaults import DEFAULT_FILTERS
from jinja2.ext import LoopControlExtension
from jinja2.runtime import LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from dotori.errors import UserError

MAX_SOURCE_BYTES = 64 * 1024
MAX_OUTPUT_CHARACTERS = 1 << 20
# 100,000 loop steps at 160 units, or 16 MiB of text made on the way.
_UNITS, _STEP_UNITS = 16_000_000, 160
_SECONDS = 2.0

_PLAIN_FILTERS = (
    *("trim", "length", "count", "upper", "lower", "capitalize", "title", "first", "last", "default", "d", "items"),
    *("list", "int", "abs", "map", "select", "reject", "selectattr", "rejectattr", "unique", "dictsort", "sort"),
    *("reverse", "safe"),
)
_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(
        {"strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "startswith", "endswith", "upper", "lower"}
        | {"title", "capitalize", "replace", "join", "find", "rfind", "index", "count", "isdigit", "isalpha", "isspace"}
        | {"removeprefix", "removesuffix"}
    ),
    dict: frozenset({"get", "items", "keys", "values"}),
    list: frozenset({"index", "count"}),
    tuple: frozenset({"index", "count"}),
}


class _Purse:
    """What one rendering may still spend."""

    def __init__(self) -> None:
        self._left = _UNITS
        self._deadline = time.monotonic() + _SECONDS

    def spend(self, units: int) -> None:
        self._left -= units
        if self._left < 0 or time.monotonic() > self._deadline:
            raise UserError(
                "chat template: it loops or grows without end; 100,000 steps and 16 MiB are allowed; replace it"
            )

    def charge(self, value: Any) -> Any:
        """Pays for a fresh value, containers with all they hold."""
        waiting = [value]
        while waiting:
            item = waiting.pop()
            if isinstance(item, str):
                self.spend(len(item))
            elif isinstance(item, dict):
                self.spend(8 * len(item) + 1)
                waiting.extend(item.values())
            elif isinstance(item, list | tuple):
                self.spend(8 * len(item) + 1)
                waiting.extend(item)
        return value

    def each(self, values: Iterable) -> Iterator:
        for value in values:
            self.spend(_STEP_UNITS)
            yield value


# Subclassing is the one way in: Jinja asks these questions of its environment only.
class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        # No constant folding: it would run the template's arithmetic before anything is paid for.
        super().__init__(trim_blocks=True, lstrip_blocks=True, optimized=False, extensions=[LoopControlExtension])
        self.purse = _Purse()
        self.concat = self._concat  # type: ignore[assignment,method-assign]
        self.filters = {name: self._paid(DEFAULT_FILTERS[name]) for name in _PLAIN_FILTERS} | {
            "join": self._join,
            "replace": self._replace,
            "string": _text,
            "tojson": self._tojson,
            "_each": self.purse.each,
            "_concat": self._concat_values,
            "_charge": self.purse.charge,
        }
        self.globals = {"range": self._range, "namespace": Namespace, "dict": dict, "raise_exception": _raise}

    def _paid(self, function: Any) -> Any:
        # Jinja reads how to call a filter from an attribute, which functools.wraps copies.
        @functools.wraps(function)
        def _charged(*args: Any, **kwargs: Any) -> Any:
            self.purse.spend(_STEP_UNITS)
            return self.purse.charge(function(*args, **kwargs))

        return _charged

    def _concat(self, parts: Iterable[str]) -> str:
        parts = list(parts)
        self.purse.spend(sum(len(part) for part in parts))
        return "".join(parts)

    def _concat_values(self, values: list) -> str:
        return self._concat(_text(value) for value in values)

    def _join(self, values: Iterable, separator: str = "", attribute: str | None = None) -> str:
        found = [value[attribute] if attribute else value for value in self.purse.each(values)]
        self.purse.spend(len(str(separator)) * len(found))
        return str(separator).join([self.purse.charge(_text(value)) for value in found])

    def _replace(self, text: str, old: str, new: str, count: int = -1) -> str:
        self.purse.spend(len(text) + (text.count(old) if count < 0 else count) * len(new))
        return text.replace(old, new, count)

    def _tojson(self, value: Any, indent: int | None = None, ensure_ascii: bool = False) -> str:
        if indent is not None and not 0 <= indent <= 16:
            raise UserError(f"chat template: tojson indent {indent}; 0 to 16; replace the template")
        parts = json.JSONEncoder(indent=indent, ensure_ascii=ensure_ascii).iterencode(value)
        return "".join(self.purse.charge(part) for part in parts)

    def _range(self, *limits: int) -> list[int]:
        values = range(*limits)
        self.purse.spend(8 * len(values))
        return list(values)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Sums and products within bounds; powers, and formatting by `%`, are refused."""
        text = isinstance(left, str | list | tuple) or isinstance(right, str | list | tuple)
        if operator == "**" or (operator == "%" and text):
            raise UserError(f"chat template: operator {operator} is not allowed; replace the template")
        if operator == "*" and text:
            sequence, times = (left, right) if isinstance(right, int) else (right, left)
            self.purse.spend(8 * len(sequence) * max(int(times), 0))
        elif isinstance(left, int) and left.bit_length() > 256:
            raise UserError("chat template: a number over 256 bits; replace the template")
        return self.purse.charge(super().call_binop(context, operator, left, right))

    def wrap_str_format(self, value: Any) -> None:
        """No `str.format`: its widths are unbounded, and without Jinja's wrapper it is off the list of methods."""
        return None

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Data, and the methods on the lists above."""
        if attr.startswith("_"):
            return False
        for kind, methods in _METHODS.items():
            if isinstance(obj, kind):
                return attr in methods
        return isinstance(obj, LoopContext | Namespace | Macro)

    def _paid_call(self, context: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
        """A call, paid; joining and replacing go through the bounded twins of the string methods."""
        self.purse.spend(_STEP_UNITS)
        owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
        if isinstance(owner, str) and name == "replace":
            return self._replace(owner, *args, **kwargs)
        if isinstance(owner, str) and name == "join":
            return self._join(args[0] if args else (), owner)
        return self.purse.charge(super().call(context, function, *args, **kwargs))

    call = _paid_call


def _raise(message: str) -> None:
    raise UserError(f"chat template: {message}; write the conversation as this model expects it")


def _text(value: Any) -> str:
    if not isinstance(value, str | int | float | None | jinja2.Undefined):
        raise UserError(f"chat template: it writes a {type(value).__name__} as text; use tojson in the template")
    return str(value)


def _metered(node: nodes.Node) -> nodes.Node:
    """The tree with the purse where Jinja's sandbox does not look: loops, `~`, slices, literals and output."""
    for name, value in list(node.iter_fields()):
        if isinstance(value, nodes.Node):
            setattr(node, name, _metered(value))
        elif isinstance(value, list):
            setattr(node, name, [_metered(item) if isinstance(item, nodes.Node) else item for item in value])
    if isinstance(node, nodes.For):
        node.iter = _filtered(node.iter, "_each")
    elif isinstance(node, nodes.Output):
        node.nodes = [
            item if isinstance(item, nodes.TemplateData) else _filtered(item, "string") for item in node.nodes
        ]
    elif isinstance(node, nodes.Concat):
        return _filtered(nodes.List(node.nodes), "_concat")
    is_slice = isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice)
    is_tuple = isinstance(node, nodes.Tuple) and node.ctx == "load"
    if is_slice or is_tuple or isinstance(node, nodes.List | nodes.Dict):
        return _filtered(node, "_charge")
    return node


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(cast(nodes.Expr, node), name, [], [], None, None, lineno=node.lineno)


@functools.lru_cache(maxsize=16)
def compile_template(source: str) -> CodeType:
    """Compiles a chat template; raises UserError for a source over 64 KiB or one that is not valid."""
    if len(source.encode()) > MAX_SOURCE_BYTES:
        raise UserError(f"chat template: {len(source.encode())} bytes; at most 64 KiB; replace the template")
    # The tag only marks assistant text for transformers; our mask comes from the contents themselves.
    plain = re.sub(r"(\{%-?\s*)generation(\s*-?%\})", r"\1if true\2", source)
    plain = re.sub(r"(\{%-?\s*)endgeneration(\s*-?%\})", r"\1endif\2", plain)
    environment = _Environment()
    try:
        tree = environment.parse(plain)
        forbidden = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
        if next(tree.find_all(forbidden), None) is not None:
            raise UserError("chat template: it includes or imports files; it must stand alone; replace the template")
        return environment.compile(cast(nodes.Template, _metered(tree)), "chat_template", "chat_template")
    except (jinja2.TemplateError, RecursionError, SyntaxError, ValueError) as error:
        raise UserError(f"chat template: {error}; valid Jinja is needed; replace the template") from None


def render(source: str, variables: dict[str, Any]) -> str:
    """The text a template makes of `variables`; raises UserError when it fails, refuses or spends too much."""
    environment = _Environment()
    parts, size = [], 0
    try:
        template = jinja2.Template.from_code(environment, compile_template(source), dict(environment.globals))
        for part in template.generate(variables):
            size += len(part)
            if size > MAX_OUTPUT_CHARACTERS:
                raise UserError(f"chat template: over {MAX_OUTPUT_CHARACTERS} characters; shorten the conversation")
            parts.append(part)
    except (jinja2.TemplateError, RecursionError, MemoryError, TypeError, ValueError, LookupError) as error:
        raise UserError(f"chat template: {error}; it does not fit these messages; replace the template") from None
    except (AttributeError, ArithmeticError) as error:
        raise UserError(f"chat template: {error}; it does not fit these messages; replace the template") from None
    return "".join(parts)
