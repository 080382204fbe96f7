"""Requests that must be refused: (name, raw body or JSON value) for each endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

WRONG_TYPES = (None, True, 5, -1, 2**63, 1.5, "text", "", [], {}, [[]], {"a": 1}, [None], [1, "a"], [{"x": []}])

# field -> values that no request may carry there; each endpoint takes those of its own fields
NUMBERS = {
    "max_tokens": (0, -1, -(2**63), 2**31, 2**63, 2**64 - 1, 1.5, "5", True, [], {}, [5]),
    "max_completion_tokens": (0, -1, 2**31, 2**63, 0.5, "5", False, [], {}),
    "max_output_tokens": (0, -1, 2**31, 2**63, 0.5, "5", False, [], {}),
    "temperature": (-0.1, -1, 2.1, 1e300, 2**63, "1", True, [], {}, [1.0]),
    "top_p": (-0.1, 1.1, 1e308, "0.5", True, [], {}),
    "min_p": (-1, 2, "0", False, []),
    "top_k": (-1, 1.5, 2**31, 2**63, "5", True, [], {}),
    "repetition_penalty": (0, -1, 101, 1e9, "1", True, []),
    "seed": (1.5, 2**63, -(2**63) - 1, 2**64 - 1, "1", True, [], {}),
    "n": (0, -1, 5, 128, 2**31, 2**63, 1.5, "2", True, [], {}),
    "best_of": (0, 2, -1, 2**63, "1", [], {}),
    "top_n": (0, -1, 2**63, 1.5, "1", True, []),
    "top_logprobs": (-1, 21, 2**31, 1.5, "3", True, []),
    "dimensions": (0, -1, 2**63, 7, "32", 1.5, []),
    "presence_penalty": (0.1, -2, 2**63, "0", []),
    "frequency_penalty": (0.1, -2, 2**63, "0", []),
}
OTHERS = {
    "stream": ("true", 1, 0, [], {}, "yes"),
    "stream_options": ([], "x", 1, {"x": 1}, {"include_usage": "yes"}, {"include_usage": 1}),
    "stop": (5, True, {}, [5], [None], "", [""], ["a"] * 5, ["a"] * 100_000, "x" * 257, [["a"]], [{}]),
    "logit_bias": ({"1": 2}, {"x": "y"}, [1], "x", 5, {str(i): 1 for i in range(900)}),
    "ignore_eos": ("yes", 1, []),
    "user": (5, [], {}, "u" * 513, True),
    "metadata": ([], "x", 5, {str(i): "v" for i in range(17)}),
    "echo": (True, "no", 2),
    "suffix": ("after", 5, []),
    "functions": ([{"name": "f"}], {}, "f"),
    "function_call": ("auto", {"name": "f"}, 5),
    "modalities": (["audio"], ["text", "audio"], "text", 5),
    "audio": ({"voice": "x"}, "x"),
    "prediction": ({"type": "content", "content": "x"}, 1),
    "web_search_options": ({}, 1),
    "reasoning_effort": ("high", 5, {}),
    "verbosity": ("high", 5),
    "store": (True, "no"),
    "service_tier": ("flex", "priority", 5),
    "previous_response_id": ("resp_1", 5),
    "conversation": ("c", {"id": "c"}),
    "background": (True, "yes"),
    "truncation": ("auto", 5),
    "include": (["x"], "x"),
    "prompt_cache_retention": ("24h", 5),
    "encoding_format": ("hex", 5, [], {}),
    "embeddings": ("yes", 1, []),
    "return_documents": ("yes", 1, []),
    "parallel_tool_calls": ("yes", 1, []),
}

FUNCTION = {"name": "f", "parameters": {"type": "object"}}
SCHEMAS: tuple[Any, ...] = (
    {"type": "string", "pattern": "(("},
    {"type": "string", "pattern": "^(?=a)b"},
    {"type": "string", "pattern": "a" * 600},
    {"type": "string", "pattern": "\\p{Nonsense}"},
    {"type": "string", "minLength": 10**7},
    {"type": "string", "maxLength": 10**12},
    {"type": "string", "minLength": -1},
    {"type": "string", "minLength": 5, "maxLength": 1},
    {"type": "string", "format": "made-up"},
    {"type": "array", "items": {"type": "string"}, "minItems": 10**6},
    {"type": "array", "minItems": 3, "maxItems": 2},
    {"type": "nonsense"},
    {"type": 5},
    {"type": ["string", 5]},
    {"enum": []},
    {"enum": "x"},
    {"not": {}},
    {"$ref": "#"},
    {"$ref": "#/nowhere"},
    {"$ref": "http://example.com/schema"},
    {"$ref": "file:///etc/passwd"},
    {"$ref": "../../etc/passwd"},
    {"$id": "http://example.com", "type": "object"},
    {"x-guidance": {"lenient": True}, "type": "object"},
    {"properties": {"a": 5}},
    {"properties": [1]},
    {"required": "a"},
    {"type": "object", "required": ["a"], "additionalProperties": False},
    {"oneOf": [{"type": "object"}, {"type": "object"}]},
    {"anyOf": "x"},
    {"allOf": [{"type": "string"}, {"type": "integer"}]},
    {"type": "integer", "minimum": 5, "maximum": 1},
    {"type": "integer", "minimum": "a"},
    {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(1000)}},
    {"enum": ["a" * 1000 + str(i) for i in range(500)]},
    {"anyOf": [{"properties": {f"p{i}_{j}": {"type": "string"} for j in range(30)}} for i in range(60)]},
    {"allOf": [{"anyOf": [{"type": "string", "pattern": f"a{i}.*{j}"} for j in range(20)]} for i in range(10)]},
)


def nested(depth: int, key: str = "items") -> dict:
    """A schema or value of that depth."""
    value: dict = {"type": "string"}
    for _ in range(depth):
        value = {"type": "array", key: value}
    return value


MESSAGES: tuple[Any, ...] = (
    *WRONG_TYPES,
    [{}],
    [{"role": "user"}],
    [{"content": "x"}],
    [{"role": "user", "content": None}],
    [{"role": "user", "content": 5}],
    [{"role": "user", "content": []}],
    [{"role": "user", "content": {}}],
    [{"role": "user", "content": ["x"]}],
    [{"role": "user", "content": [{"type": "text"}]}],
    [{"role": "user", "content": [{"type": "text", "text": 5}]}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://example.com/a.png"}}]}],
    [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}],
    [{"role": "user", "content": [{"type": "file", "file": {"file_id": "/etc/passwd"}}]}],
    [{"role": "user", "content": "x", "extra": 1}],
    [{"role": "user", "content": "x", "name": 5}],
    [{"role": "usr", "content": "x"}],
    [{"role": "function", "content": "x", "name": "f"}],
    [{"role": ["user"], "content": "x"}],
    [{"role": {}, "content": "x"}],
    [{"role": 5, "content": "x"}],
    [{"role": "tool", "content": "x"}],
    [{"role": "tool", "content": "x", "tool_call_id": 5}],
    [{"role": "tool", "content": "x", "tool_call_id": "i" * 200}],
    [{"role": "assistant"}],
    [{"role": "assistant", "content": None}],
    [{"role": "assistant", "tool_calls": "x"}],
    [{"role": "assistant", "tool_calls": [{}]}],
    [{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "../f", "arguments": "{}"}}]}],
    [{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {}}}]}],
    [{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": ""}}] * 9}],
    [{"role": "user", "content": "x"}] * 1025,
    [{"role": "user", "content": "x"}] * 20_000,
    [{"role": "user", "content": "a" * 2_000_000}],
    [{"role": "user", "content": "가" * 1_000_000}],
    [{"role": "user", "content": "\0"}],
    [{"role": "user", "content": "a" + "\u0301\u0327" * 100_000}],
)
TOOLS: tuple[Any, ...] = (
    "x",
    5,
    {},
    [5],
    [{}],
    [{"type": "function"}],
    [{"type": "retrieval"}],
    [{"type": "function", "function": {}}],
    [{"type": "function", "function": {"name": "a b"}}],
    [{"type": "function", "function": {"name": "../../x"}}],
    [{"type": "function", "function": {"name": ""}}],
    [{"type": "function", "function": {"name": "f" * 65}}],
    [{"type": "function", "function": {"name": "f", "parameters": []}}],
    [{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}],
    [{"type": "function", "function": {"name": "f", "parameters": nested(200)}}],
    [{"type": "function", "function": FUNCTION}] * 2,
    [{"type": "function", "function": {"name": f"f{i}"}} for i in range(33)],
    [{"type": "function", "function": {"name": "f", "description": "d" * 1_000_000}}],
    *([{"type": "function", "function": {"name": "f", "parameters": schema}}] for schema in SCHEMAS[:12]),
)
FORMATS: tuple[Any, ...] = (
    "json",
    5,
    [],
    {},
    {"type": "xml"},
    {"type": "json_schema"},
    {"type": "json_schema", "json_schema": {}},
    {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}},
    {"type": "json_schema", "json_schema": {"name": "x", "schema": "x"}},
    {"type": "json_schema", "json_schema": {"name": "x", "schema": nested(30)}},
    {"type": "json_schema", "json_schema": {"name": "x", "schema": nested(400)}},
    {"type": "json_object", "extra": 1},
    *({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}} for schema in SCHEMAS),
)
PROMPTS: tuple[Any, ...] = (
    None,
    5,
    True,
    {},
    [],
    [[]],
    [None],
    [True],
    [1, "a"],
    ["a", 1],
    [1.5],
    [-1],
    [2**31],
    [2**63],
    [10**6],
    [[10**6]],
    [[1], []],
    [["a"]],
    ["a"] * 300,
    [1] * 100_000,
    "a" * 2_000_000,
    "\0",
    "a" + "\u0301\u0327" * 100_000,
)
INPUTS: tuple[Any, ...] = (
    5,
    None,
    {},
    [],
    ["x"],
    [5],
    [{}],
    [{"type": "message"}],
    [{"type": "reasoning", "id": "x", "summary": []}],
    [{"type": "item_reference", "id": "x"}],
    [{"type": ["message"]}],
    [{"type": {}}],
    [{"role": "user"}],
    [{"role": "tool", "content": "x"}],
    [{"role": "user", "content": [{"type": "input_image", "image_url": "http://example.com/x"}]}],
    [{"role": "user", "content": [{"type": "input_file", "file_id": "../x"}]}],
    [{"type": "function_call", "name": "f"}],
    [{"type": "function_call", "name": "a/b", "call_id": "c", "arguments": "{}"}],
    [{"type": "function_call_output", "call_id": "c"}],
    [{"role": "user", "content": "x"}] * 1025,
    "a" * 2_000_000,
    "\0",
)
RANKED: tuple[Any, ...] = (
    None,
    5,
    "x",
    {},
    [],
    [5],
    [None],
    [{}],
    [{"text": 5}],
    [{"text": "x", "id": 1}],
    [["x"]],
    ["x"] * 2049,
    ["x" * 65_537],
    ["\0"],
)
MODELS = (
    *(
        None,
        5,
        True,
        [],
        {},
        "",
        "gpt-4o",
        "m" * 257,
        "acorn ",
        " acorn",
        "ACORN",
        "acorn.gguf",
        "acorn\n",
        "acor\u0301n",
    ),
    *(
        "../acorn",
        "..",
        ".",
        "/",
        "/etc/passwd",
        "..\\acorn",
        "C:\\acorn",
        "\\\\host\\share",
        "acorn/../acorn",
        "./acorn",
    ),
    *(
        "%2e%2e/acorn",
        "..%2facorn",
        "%252e%252e%252f",
        "acorn\x1b[31m",
        "con",
        "nul",
        "file:///etc/passwd",
        "~",
        "$HOME",
    ),
    *("acorn;id", "$(id)", "`id`", "{{7*7}}", "acorn#", "acorn?", "a\u202ecorn", "＿acorn", "acorn." * 40),
)

_DEEP = 100_000
RAW: dict[str, bytes] = {
    "empty": b"",
    "blank": b"   ",
    "not JSON": b"hello",
    "half": b'{"model": "acorn"',
    "trailing": b'{"model": "acorn"} x',
    "two values": b"{}{}",
    "an array": b"[]",
    "a string": b'"x"',
    "a number": b"5",
    "null": b"null",
    "true": b"true",
    "single quotes": b"{'model': 'acorn'}",
    "a comment": b'{"model": "acorn" /* x */}',
    "trailing comma": b'{"model": "acorn",}',
    "NaN": b'{"model": "acorn", "temperature": NaN}',
    "Infinity": b'{"model": "acorn", "temperature": Infinity}',
    "-Infinity": b'{"model": "acorn", "temperature": -Infinity}',
    "1e999": b'{"model": "acorn", "temperature": 1e999}',
    "a huge integer": b'{"model": "acorn", "seed": ' + b"9" * 4000 + b"}",
    "a hugest integer": b'{"model": "acorn", "seed": ' + b"9" * 400_000 + b"}",
    "a long fraction": b'{"model": "acorn", "temperature": 0.' + b"1" * 400_000 + b"x}",
    "leading zero": b'{"model": "acorn", "n": 01}',
    "hexadecimal": b'{"model": "acorn", "n": 0x1}',
    "deep arrays": b'{"model": ' + b"[" * _DEEP + b"]" * _DEEP + b"}",
    "deep objects": b'{"a":' * _DEEP + b"1" + b"}" * _DEEP,
    "deep and open": b"[" * _DEEP,
    "deep in a field": b'{"model": "acorn", "metadata": {"a": ' + b"[" * 100 + b"]" * 100 + b"}}",
    "many values": b'{"model": [' + b"1," * 1_000_000 + b"1]}",
    "many objects": b'{"model": [' + b"{}," * 1_000_000 + b"{}]}",
    "many keys": json.dumps({f"k{i}": i for i in range(100_000)}).encode(),
    "a key twice": b'{"model": "acorn", "model": "acorn"}',
    "a nested key twice": b'{"model": "acorn", "metadata": {"a": "1", "a": "2"}}',
    "a lone surrogate": b'{"model": "acorn\\ud800"}',
    "a surrogate key": b'{"\\udc00": 1}',
    "swapped surrogates": b'{"model": "\\udc00\\ud800"}',
    "an escaped NUL": b'{"model": "a\\u0000b"}',
    "a raw NUL": b'{"model": "a\x00b"}',
    "a raw control character": b'{"model": "a\x01b"}',
    "a raw newline": b'{"model": "a\nb"}',
    "a bad escape": b'{"model": "\\x41"}',
    "invalid UTF-8": b'{"model": "\xff\xfe"}',
    "overlong UTF-8": b'{"model": "\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"model": "\xed\xa0\x80"}',
    "half a character": '{"model": "도'.encode()[:-1],
    "CP949": '{"model": "도토리"}'.encode("cp949"),
    "GBK": '{"model": "你好"}'.encode("gbk"),
    "UTF-16": '{"model": "acorn"}'.encode("utf-16"),
    "UTF-32": '{"model": "acorn"}'.encode("utf-32"),
    "a byte order mark": b'\xef\xbb\xbf{"model": "acorn"}',
    "a form": b"model=acorn&prompt=x",
    "XML": b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><x>&a;</x>",
    "gzip": b"\x1f\x8b\x08\x00" + b"\x00" * 60,
    "a constructor": b'{"__proto__": {"a": 1}, "constructor": 5}',
}

# What is allowed in one place though it is refused in the others.
FINE = [("/v1/rerank", "model", None)]

ENDPOINTS: dict[str, tuple[dict[str, Any], dict[str, tuple[Any, ...]]]] = {
    "/v1/chat/completions": (
        {"model": "acorn", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1},
        {"messages": MESSAGES, "tools": TOOLS, "response_format": FORMATS}
        | {
            "tool_choice": (
                "any",
                5,
                {},
                "required",
                {"type": "function"},
                {"type": "function", "function": {"name": "g"}},
            )
        }
        | {"logprobs": ("yes", 1, [], {})},
    ),
    "/v1/completions": (
        {"model": "acorn", "prompt": "x", "max_tokens": 1},
        {"prompt": PROMPTS, "logprobs": (-1, 6, 1.5, "1", True, [], {})},
    ),
    "/v1/embeddings": ({"model": "acorn", "input": "x"}, {"input": PROMPTS}),
    "/v1/responses": (
        {"model": "acorn", "input": "x", "max_output_tokens": 1},
        {
            "input": INPUTS,
            "instructions": (5, [], {}, "\0"),
            "tools": ("x", [{}], [{"type": "web_search"}], [{"type": "mcp"}], [{"type": "function", "name": "a b"}]),
            "tool_choice": ("required", "any", 5, {"type": "function", "name": "g"}, {"type": "file_search"}),
            "text": (5, [], {"format": {}}, {"format": {"type": "xml"}}, {"verbosity": "high"})
            + tuple({"format": {"type": "json_schema", "name": "x", "schema": schema}} for schema in SCHEMAS),
            "reasoning": ({"effort": "high"}, 5, {"summary": "auto"}),
        },
    ),
    "/v1/rerank": ({"query": "x", "documents": ["x"]}, {"documents": RANKED, "query": (None, 5, [], {}, "\0")}),
}


def requests_for(path: str, fields: list[str]) -> Iterator[tuple[str, bytes]]:
    """(name, body) of every hostile request to `path`, whose shape has `fields`."""
    base, own = ENDPOINTS[path]
    yield from RAW.items()
    for field in [*base]:
        yield f"without {field}", _json({key: value for key, value in base.items() if key != field} | {"zz": 1})
    table = {"model": MODELS} | own
    table |= {name: values for name, values in (NUMBERS | OTHERS).items() if name not in own}
    # A field of another endpoint is an unknown one here, and hostile values of it are refused as well.
    for field, values in table.items():
        for number, value in enumerate(values):
            is_fine = (path, field, value) in FINE or (path == "/v1/responses" and field == "store" and value is True)
            if not is_fine and (field in fields or number < 3):
                yield f"{field} {number}", _json(base | {field: value})
    for name in ("temprature", "Model", "max-tokens", "토큰", "", "a" * 5000, "__class__", "model ", "messages[0]"):
        yield f"unknown field {name[:20]!r}", _json(base | {name: 1})
    for number, value in enumerate(WRONG_TYPES):
        yield f"unknown value {number}", _json(base | {"unheard_of": value})


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
