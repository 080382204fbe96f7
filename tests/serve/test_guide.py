"""docs/serve.md is run: its Python and its curl against a server."""

import re
import subprocess
from pathlib import Path

import pytest

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "serve.md").read_text()
ADDRESS = "http://127.0.0.1:8080"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def guided(start):
    with start(names=("export-q4_0",)) as running:
        yield running


def test_python(guided):
    names: dict = {}
    for text in blocks("python"):
        exec(compile(text.replace(ADDRESS, guided.url), "docs/serve.md", "exec"), names)
    names["client"].close()
    assert names.get("numbers", {}).keys() == {"a", "b"} or names["turn"].choices[0].finish_reason == "length"


@pytest.mark.parametrize("text", blocks("sh"), ids=range(len(blocks("sh"))))
def test_curl(guided, text):
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {text.replace(ADDRESS, guided.url)}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert '"error"' not in done.stdout
    assert done.stdout


def test_limits_are_those_of_the_server(guided):
    limits = guided.service.limits
    for words in (
        f"{limits.header_bytes >> 10} KiB, {limits.header_seconds:g} s",
        f"{limits.body_bytes >> 20} MiB, {limits.body_seconds:g} s",
        f"{limits.stall_seconds:g} s; {limits.buffer_bytes >> 20} MiB waiting",
        f"{limits.connections}, {limits.requests} ",
        f"{limits.choices}, {limits.prompts}, {limits.messages:,}, {limits.tools} ",
        f"{limits.schema_bytes >> 10} KiB, {limits.schema_values:,} values, {limits.schema_depth} levels",
        f"{limits.schema_count:,}",
        f"{limits.json_depth} levels, {limits.json_values:,} values",
        f"{limits.documents:,} of {limits.document_characters:,} characters",
        f"{limits.pdf_seconds:g} s, {limits.pdf_memory_bytes >> 30} GiB of memory, {limits.pdf_pages:,} pages",
    ):
        assert words in GUIDE, words
