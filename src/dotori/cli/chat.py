"""`dotori chat`.

With --prompt: one answer on stdout. Without: a conversation; /new forgets it, /quit or Ctrl-D ends it, Ctrl-C stops an
answer. From a pipe, each line is one thing said.
"""

from __future__ import annotations

import sys
import unicodedata
from argparse import ArgumentParser, Namespace

from dotori.errors import UserError

_ROOM = 32


def arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("model", help="model folder, export folder or .gguf file")
    parser.add_argument("--prompt", metavar="TEXT", help="say this once, print the answer and end")
    parser.add_argument("--system", metavar="TEXT", help="what the model is told before the conversation")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="longest answer (default: what the context holds)")
    parser.add_argument("--temperature", type=float, default=0.0, help="0 always takes the likeliest token (default)")
    parser.add_argument("--top-k", type=int, default=0, metavar="K", help="keep the K likeliest tokens; 0 keeps all")
    parser.add_argument("--top-p", type=float, default=1.0, metavar="P", help="keep the likeliest that sum to P")
    parser.add_argument("--min-p", type=float, default=0.0, metavar="P", help="keep those of P times the likeliest")
    parser.add_argument("--repetition-penalty", type=float, default=1.0, metavar="R", help="above 1: say less again")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same answer")
    parser.add_argument("--stop", action="append", default=[], metavar="TEXT", help="end before this text; repeatable")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")


def run(options: Namespace) -> int:
    """Opens the model and talks."""
    from dotori.runtime.open import open_model

    session = open_model(options.model, threads=options.threads)
    history = [] if options.system is None else [_said("system", options.system)]
    if options.prompt is not None:
        _answer(session, [*history, _said("user", options.prompt)], options)
        return 0
    if sys.stdin.isatty():
        import readline  # noqa: F401  (gives input() its line editing)

        print(f"{options.model}: /new forgets, /quit ends", file=sys.stderr)
    start = list(history)
    while (line := _read()) is not None and line.strip() != "/quit":
        if line.strip() == "/new":
            history = list(start)
        elif line.strip():
            history = _fitting(session, [*history, _said("user", line)], len(start), options.max_tokens)
            history.append(_said("assistant", _answer(session, history, options)))
    return 0


def _said(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": unicodedata.normalize("NFC", text)}


def _read() -> str | None:
    """The next line, None at the end of input or at Ctrl-C on an empty prompt."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline()
        return line.rstrip("\n") if line else None
    try:
        return input("> ")
    except (EOFError, KeyboardInterrupt):
        print(file=sys.stderr)
        return None


def _fitting(session, history: list[dict[str, str]], kept: int, max_tokens: int | None) -> list[dict[str, str]]:
    """Drops the oldest turns until an answer fits into the context; says so."""
    room, cut = min(max_tokens or _ROOM, session.context // 2), False
    while len(session.chat(history)) + room > session.context and len(history) > kept + 2:
        history, cut = history[:kept] + history[kept + 2 :], True
    if cut:
        print("(the beginning of the conversation no longer fits and is forgotten)", file=sys.stderr)
    return history


def _answer(session, messages: list[dict[str, str]], options: Namespace) -> str:
    """Streams one answer to stdout and returns it; in a conversation Ctrl-C ends the answer only."""
    from dotori.tokenizer.stream import StreamDecoder

    ids = session.chat(messages)
    if len(ids) >= session.context:
        raise UserError(
            f"prompt: {len(ids)} tokens; this model holds {session.context}, an answer included; shorten the prompt"
        )
    room = session.context - len(ids)
    found = session.generate(
        ids,
        max_tokens=room if options.max_tokens is None else min(options.max_tokens, room),
        temperature=options.temperature,
        seed=options.seed,
        stop=options.stop,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        repetition_penalty=options.repetition_penalty,
    )
    decoder, text = StreamDecoder(session.tokenizer), ""
    try:
        for index in found:
            text += (piece := decoder.push(index))
            print(piece, end="", flush=True)
        text += (piece := decoder.finish())
        print(piece, flush=True)
    except KeyboardInterrupt:
        if options.prompt is not None or not sys.stdin.isatty():
            raise
        print()
    return text
