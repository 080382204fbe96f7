"""`dotori bench`.

Medians of five runs on the native core: a prompt of 512 tokens, then single tokens. The table tells for each operation
how many weight bytes a token reads, how long that takes, and what share of the memory's bandwidth it reaches.
--peer runs another engine in turns with ours, each in a process of its own.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from dotori.cli.options import add_json, print_json, size


def arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("model", type=Path, help="export folder or .gguf file")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    parser.add_argument("--tokens", type=int, default=64, metavar="N", help="tokens decoded a run (default 64)")
    parser.add_argument("--memory", type=size, metavar="SIZE", help="most memory for weights and context, as 750MB")
    parser.add_argument("--peer", choices=("llama.cpp", "onnxruntime-genai"), help="run it in turns, print the ratios")
    parser.add_argument("--peer-model", type=Path, metavar="PATH", help="the peer's model, if not the same file")
    parser.add_argument("--peer-python", default=sys.executable, metavar="PYTHON", help="interpreter that has the peer")
    add_json(parser)


def run(options: Namespace) -> int:
    """Measures and prints."""
    from dotori.errors import UserError
    from dotori.evaluate.speed import measure_speed
    from dotori.runlog import RunLog

    if options.tokens < 1:
        raise UserError(f"tokens: {options.tokens}; at least 1; correct it")
    peer = (options.peer, options.peer_model, options.peer_python)
    with RunLog() as log:
        report = measure_speed(options.model, options.threads, options.tokens, options.memory, log, *peer)
    if options.json:
        print_json(report)
    else:
        print("\n".join(_lines(report)))
    return 0


def _lines(r: dict[str, Any]) -> list[str]:
    lines = [
        f"decode     {r['decode_tokens_per_second']:10.1f} tokens/s   {r['bandwidth_share']:.0%} of "
        f"{r['bandwidth_bytes_per_second'] / 1e9:.1f} GB/s of memory bandwidth",
        f"prefill    {r['prefill_tokens_per_second']:10.1f} tokens/s   {r['prompt_tokens']} tokens",
        f"first token{r['time_to_first_token_ms']:10.1f} ms         opening the file ({r['open_ms']:.1f} ms) included",
        f"memory     {r['peak_memory_bytes'] / 1e6:10.1f} MB         weights {r['weight_bytes'] / 1e6:.1f} MB",
    ]
    if r["neuron_sparsity"] is not None:
        lines.append(f"sparsity   {r['neuron_sparsity']:10.1%}            neurons of chosen experts that are off")
    if r["decode_ratio"] is not None:
        lines.append(
            f"ratio      {r['decode_ratio']:10.2f} x decode    {r['prefill_ratio']:.2f} x prefill of {r['peer']} "
            f"({r['peer_decode_tokens_per_second']:.1f} and {r['peer_prefill_tokens_per_second']:.1f} tokens/s)"
        )
    lines += ["", f"{'operation':12}{'MB/token':>10}{'us/token':>10}{'bandwidth':>11}"]
    for row in r["operations"]:
        share = f"{row['bandwidth_share']:10.0%}" if row["bandwidth_share"] is not None else ""
        lines.append(f"{row['operation']:12}{row['bytes'] / 1e6:10.2f}{row['microseconds']:10.1f} {share}")
    return lines
