"""The `dotori` command: a lazy table of verbs, and the one place where an error becomes an exit code.

0    done                                    73   the disk is full or refuses to write
1    a bug of ours, with its traceback       75   stopped on request; the same command continues
2    a wrong flag or verb                    130  Ctrl-C before anything could be saved
65   bad input: one message, no traceback    141  the reader of a pipe went away
"""

from __future__ import annotations

import errno
import os
import re
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from typing import NoReturn

from dotori.errors import UserError

# verb -> one line; a verb with parts maps to {part: one line}. `eval bpb` lives in cli/eval_bpb.py.
VERBS: dict[str, str | dict[str, str]] = {
    "demo": "make the demo model (minutes on two cores) and talk to it",
    "run": "run a recipe: text in, a talking model and its report out; continues where it stopped",
    "data": "build the dataset folder of a recipe",
    "tokenizer": "train the tokenizer of a recipe",
    "train": "train a model with the settings of a recipe",
    "adapt": {"sft": "tune a model on instructions with the settings of a recipe"},
    "export": {
        "gguf": "turn a model folder into one GGUF file with its proofs",
        "web": "make an installable web app of a GGUF file that runs offline in a browser or on a phone",
        "android": "make an Android app (debug-signed, untested on hardware) of a GGUF file",
        "executorch": "turn a model folder into a .pte file for apps on ExecuTorch",
        "onnx": "turn a model folder into a folder for onnxruntime-genai",
    },
    "eval": {
        "bpb": "bits per byte of a model on text files, per language",
        "storyworld": "questions, translation and particles of the story world",
    },
    "tunnel": "learn from many tiny runs what a large one should use: rates, batch, schedule, size",
    "verify": "recompute every hash and proof of a folder",
    "chat": "talk to a model folder or a GGUF file",
    "serve": "answer the API that OpenAI's clients speak, and show a chat page",
    "bench": "measure how fast a GGUF file runs here, and how near that is to the memory's limit",
    "doctor": "measure what this machine can do and write its device profile",
    "inspect": "print how a folder came to be",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb and returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except UserError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("stopped", 130)
    except BrokenPipeError:
        # Python would complain once more when it flushes the dead pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.filename is None or error.errno not in (errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENAMETOOLONG):
            raise
        return _fail(f"{error.filename}: {error.strerror}; it must be a file that you may use; check the path", 65)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        return _say(_help())
    if words[0] in ("-V", "--version"):
        return _say(f"dotori {import_module('dotori').__version__}")
    verb, rest = words[0], words[1:]
    if verb not in VERBS:
        return _usage(f"dotori {verb}: no such verb", verb, list(VERBS))
    summary, module = VERBS[verb], verb
    if isinstance(summary, dict):
        if not rest or rest[0] in ("-h", "--help"):
            return _say(
                "\n".join(f"dotori {verb} {part:12} {line}" for part, line in summary.items()), 0 if rest else 2
            )
        if rest[0] not in summary:
            return _usage(f"dotori {verb} {rest[0]}: no such part", rest[0], list(summary))
        verb, module, summary, rest = f"{verb} {rest[0]}", f"{verb}_{rest[0]}", summary[rest[0]], rest[1:]
    code = import_module(f"dotori.cli.{module}")
    text = code.__doc__.partition("\n\n")[2] if code.__doc__ else ""
    parser = ArgumentParser(
        prog=f"dotori {verb}",
        description=f"{summary[0].upper()}{summary[1:]}.\n\n{text}".strip(),
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    code.arguments(parser)
    parser.error = partial(_refuse, verb)  # type: ignore[method-assign]
    try:
        options, left = parser.parse_known_intermixed_args(rest)
    except SystemExit as stop:  # --help
        return int(stop.code or 0)
    if left and left[0].startswith("--"):
        word, flags = left[0].partition("=")[0], re.findall(r"--[\w-]+", parser.format_usage())
        return _usage(f"dotori {verb}: {word}: no such argument", word, flags)
    if left:
        _refuse(verb, f"{left[0]!r}: one word too many")
    return code.run(options) or 0


class _Usage(UserError):
    """A wrong flag."""

    exit_code = 2


def _refuse(verb: str, message: str) -> NoReturn:
    """In the place of argparse's own error, which puts the whole usage before it."""
    raise _Usage(f"dotori {verb}: {message}; `dotori {verb} --help` shows what it takes")


def _help() -> str:
    lines = ["dotori: from text to a small language model in your pocket", "", "verbs:"]
    for verb, summary in VERBS.items():
        rows = {verb: summary} if isinstance(summary, str) else {f"{verb} {part}": s for part, s in summary.items()}
        lines += [f"  {name:16} {line}" for name, line in rows.items()]
    lines += [
        "",
        "`dotori VERB --help` shows its arguments. Data goes to stdout, words for people to stderr.",
        "Exit codes:",
    ]
    return "\n".join([*lines, *(__doc__ or "").partition("\n\n")[2].rstrip().split("\n")])


def _usage(text: str, word: str, known: list[str]) -> int:
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
    return _fail(f"{text}; {hint}", 2)


def _say(text: str, code: int = 0) -> int:
    print(text)
    return code


def _fail(text: str, code: int) -> int:
    print(f"dotori: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
