"""The processes behind `peers`: one runtime each, driven by lines of JSON over standard input and output.

    python peer_engines.py ENGINE MODEL THREADS CONTEXT

The first line out tells of loading: {"load_seconds", "about"}. Then a process reads {"do": NAME, ...} and answers
a line:

    {"do": "prefill", "tokens": N}                   {"seconds"}
    {"do": "decode", "tokens": N, "context": C}      {"seconds"}; the C tokens are read before the clock starts
    {"do": "greedy", "prompt": [ids], "tokens": N}   {"tokens", "logits"}, the logits after the prompt
    {"do": "memory"}                                 {"peak", "anonymous", "before"} in bytes

Whatever fails is answered with {"error"}.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np

# Tokens a cache is filled with at a time; llama.cpp's default of n_batch.
_BATCH = 2048


def standard_ids(count: int, vocabulary: int) -> list[int]:
    """The prompt of every engine: ids that repeat late, and are the same for all."""
    return [(7 * index + 1) % vocabulary for index in range(count)]


class Engine(Protocol):
    """What a process offers over the wire."""

    def prefill(self, tokens: int) -> float:
        """Seconds for a prompt."""

    def decode(self, tokens: int, context: int) -> float:
        """Seconds for greedy steps after a filled cache."""

    def greedy(self, prompt: list[int], tokens: int) -> tuple[list[int], np.ndarray]:
        """Greedy continuation and the logits after the prompt."""

    def about(self) -> str:
        """Version and instruction sets in words."""


class Dotori:
    """Our runtime through its own measuring methods."""

    def __init__(self, model: str, threads: int, context: int) -> None:
        """Opens the model."""
        # Other engines' interpreters need not have dotori.
        self._model: Any = import_module("dotori.runtime.open").open_model(model, threads=threads, context=context)

    def prefill(self, tokens: int) -> float:
        """Seconds for a prompt of `tokens`."""
        return self._model.bench_prefill(tokens)

    def decode(self, tokens: int, context: int) -> float:
        """Seconds for `tokens` steps after `context` tokens."""
        return self._model.bench_decode(tokens, context)

    def greedy(self, prompt: list[int], tokens: int) -> tuple[list[int], np.ndarray]:
        """Greedy continuation and the logits after the prompt."""
        logits = self._model.logits(prompt)[-1]
        return list(self._model.generate(prompt, max_tokens=tokens, temperature=0.0, ignore_eos=True)), logits

    def about(self) -> str:
        """The instruction set in use."""
        return str(getattr(self._model, "isa", ""))


class LlamaCpp:
    """llama.cpp through its C interface: mmap, flash attention where it chooses, float16 cache."""

    def __init__(self, model: str, threads: int, context: int) -> None:
        """Loads the model; raises ValueError where llama.cpp refuses."""
        import llama_cpp

        self._c = llama_cpp
        # Its log goes to the terminal otherwise; the callback must live as long as the library.
        self._log = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(self._log, None)
        llama_cpp.llama_backend_init()
        options = llama_cpp.llama_model_default_params()
        options.n_gpu_layers = 0
        loaded = llama_cpp.llama_model_load_from_file(model.encode(), options)
        if not loaded:
            raise ValueError("llama.cpp could not load the model")
        wanted = llama_cpp.llama_context_default_params()
        wanted.n_ctx = context
        wanted.n_batch = _BATCH
        wanted.n_threads = wanted.n_threads_batch = threads
        # As its own programs have it: layers with a window keep just that, which is faster and smaller.
        wanted.swa_full = False
        self._context = llama_cpp.llama_init_from_model(loaded, wanted)
        if not self._context:
            raise ValueError("llama.cpp could not make a context")
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(loaded))
        self._filled = self._position = 0

    def _read(self, ids: list[int]) -> None:
        """Reads ids after those in the cache; logits of the last one alone."""
        for start in range(0, len(ids), _BATCH):
            piece = ids[start : start + _BATCH]
            tokens = (self._c.llama_token * len(piece))(*piece)
            status = self._c.llama_decode(self._context, self._c.llama_batch_get_one(tokens, len(piece)))
            if status:
                raise ValueError(f"llama_decode answered {status}")
        self._position += len(ids)

    def _logits(self) -> np.ndarray:
        # The call waits for the computation.
        return np.ctypeslib.as_array(self._c.llama_get_logits_ith(self._context, -1), shape=(self._vocabulary,))

    def _keep(self, count: int) -> None:
        """Forgets all but the first `count` standard ids, reading those that are not there."""
        kept = 0 < count <= self._filled and self._c.llama_memory_seq_rm(self._memory, 0, count, -1)
        if kept:
            self._position = self._filled = count
            return
        self._c.llama_memory_clear(self._memory, False)
        self._position = self._filled = 0
        self._read(standard_ids(count, self._vocabulary))
        self._filled = count

    def prefill(self, tokens: int) -> float:
        """Seconds for a prompt of `tokens`, in one batch up to 2048."""
        self._keep(0)
        ids = standard_ids(tokens, self._vocabulary)
        start = time.perf_counter()
        self._read(ids)
        self._logits()
        return time.perf_counter() - start

    def decode(self, tokens: int, context: int) -> float:
        """Seconds for `tokens` steps, each with its argmax, after `context` tokens."""
        self._keep(context)
        self._read([1])
        index = int(self._logits().argmax())
        start = time.perf_counter()
        for _ in range(tokens):
            self._read([index])
            index = int(self._logits().argmax())
        return time.perf_counter() - start

    def greedy(self, prompt: list[int], tokens: int) -> tuple[list[int], np.ndarray]:
        """Greedy continuation and the logits after the prompt."""
        self._keep(0)
        self._read(prompt)
        logits, ids = self._logits().copy(), []
        for _ in range(tokens):
            ids.append(int(self._logits().argmax()))
            self._read(ids[-1:])
        return ids, logits

    def about(self) -> str:
        """llama.cpp's own line about the processor."""
        return f"{self._c.__version__} {self._c.llama_print_system_info().decode().strip()}"


class OnnxRuntime:
    """onnxruntime-genai with a folder that its builder wrote."""

    def __init__(self, model: str, threads: int, context: int) -> None:
        """Loads the model."""
        import onnxruntime_genai

        self._og = onnxruntime_genai
        self._shape = json.loads((Path(model) / "genai_config.json").read_text())["model"]
        config = onnxruntime_genai.Config(model)
        # Its own choice is one thread where a machine has two.
        options = {"session_options": {"intra_op_num_threads": threads}}
        config.overlay(json.dumps({"model": {"decoder": options}}))
        self._model = onnxruntime_genai.Model(config)
        self._context = context

    def _begin(self) -> Any:
        options = self._og.GeneratorParams(self._model)
        # The least length keeps a random model from ending on its stop token.
        options.set_search_options(max_length=self._context, min_length=self._context, do_sample=False)
        return self._og.Generator(self._model, options)

    def prefill(self, tokens: int) -> float:
        """Seconds for a prompt of `tokens`."""
        generator = self._begin()
        ids = np.array([standard_ids(tokens, self._shape["vocab_size"])], np.int32)
        start = time.perf_counter()
        generator.append_tokens(ids)
        generator.generate_next_token()
        return time.perf_counter() - start

    def decode(self, tokens: int, context: int) -> float:
        """Seconds for `tokens` steps after `context` tokens."""
        generator = self._begin()
        generator.append_tokens(np.array([[*standard_ids(context, self._shape["vocab_size"]), 1]], np.int32))
        # A step runs the model on the token of the step before: the first one only chooses.
        generator.generate_next_token()
        start = time.perf_counter()
        for _ in range(tokens):
            generator.generate_next_token()
        return time.perf_counter() - start

    def greedy(self, prompt: list[int], tokens: int) -> tuple[list[int], np.ndarray]:
        """Greedy continuation and the logits after the prompt."""
        generator = self._begin()
        generator.append_tokens(np.array([prompt], np.int32))
        logits = np.asarray(generator.get_logits(), np.float32).reshape(-1, self._shape["vocab_size"])[-1]
        for _ in range(tokens):
            generator.generate_next_token()
        return [int(index) for index in generator.get_sequence(0)[len(prompt) :]], logits

    def about(self) -> str:
        """The version."""
        return str(self._og.__version__)


class ExecuTorch:
    """A .pte file of `dotori export executorch` on ExecuTorch's Python runtime; its context is the file's own."""

    def __init__(self, model: str, threads: int, context: int) -> None:
        """Loads the file."""
        import executorch.runtime
        import torch
        from executorch.extension.pybindings import portable_lib

        portable_lib._unsafe_reset_threadpool(threads)
        self._torch = torch
        # The runtime keeps neither alive.
        self._program = executorch.runtime.Runtime.get().load_program(model)
        self._method = self._program.load_method("forward")
        names = ("get_max_seq_len", "get_vocab_size")
        self._piece, self._vocabulary = (int(self._program.load_method(name).execute([])[0]) for name in names)

    def _read(self, ids: list[int], at: int) -> np.ndarray:
        for place in range(0, len(ids), self._piece):
            tokens = self._torch.tensor([ids[place : place + self._piece]])
            logits = self._method.execute([tokens, self._torch.tensor([at + place])])[0]
        return logits.numpy().reshape(-1)

    def prefill(self, tokens: int) -> float:
        """Seconds for a prompt of `tokens`."""
        ids = standard_ids(tokens, self._vocabulary)
        start = time.perf_counter()
        self._read(ids, 0)
        return time.perf_counter() - start

    def decode(self, tokens: int, context: int) -> float:
        """Seconds for `tokens` steps after `context` tokens."""
        index = int(self._read([*standard_ids(context, self._vocabulary), 1], 0).argmax())
        start = time.perf_counter()
        for step in range(tokens):
            index = int(self._read([index], context + 1 + step).argmax())
        return time.perf_counter() - start

    def greedy(self, prompt: list[int], tokens: int) -> tuple[list[int], np.ndarray]:
        """Greedy continuation and the logits after the prompt."""
        logits, ids = self._read(prompt, 0).copy(), []
        row = logits
        for step in range(tokens):
            ids.append(int(row.argmax()))
            row = self._read(ids[-1:], len(prompt) + step)
        return ids, logits

    def about(self) -> str:
        """The version."""
        return f"executorch {version('executorch')}"


ENGINES: dict[str, Callable[[str, int, int], Engine]] = {
    "dotori": Dotori,
    "llama.cpp": LlamaCpp,
    "onnxruntime-genai": OnnxRuntime,
    "executorch": ExecuTorch,
}


def _bytes() -> tuple[int, int]:
    """Peak resident and present anonymous bytes of this process."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024), 0
    # Not getrusage where it can be helped: its peak begins at the size of the process that started this one.
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return tuple(int(fields[name].split()[0]) * 1024 for name in ("VmHWM", "RssAnon"))  # type: ignore[return-value]


def child(engine: str, model: str, threads: int, context: int) -> None:
    """The process: loads, then answers line after line until its input ends."""
    # Libraries print to standard output, so the answers get a descriptor of their own.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    before = _bytes()[0]

    def answer(value: dict[str, Any]) -> None:
        print(json.dumps(value), file=out, flush=True)

    try:
        start = time.perf_counter()
        runtime = ENGINES[engine](model, threads, context)
        loaded = time.perf_counter() - start
        # The first step finds pages and starts threads.
        runtime.decode(2, 0)
        answer({"load_seconds": loaded, "about": runtime.about()})
        for line in sys.stdin:
            asked = json.loads(line)
            match asked.pop("do"):
                case "greedy":
                    ids, logits = runtime.greedy(asked["prompt"], asked["tokens"])
                    answer({"tokens": ids, "logits": logits.tolist()})
                case "memory":
                    peak, anonymous = _bytes()
                    answer({"peak": peak, "anonymous": anonymous, "before": before})
                case "prefill":
                    answer({"seconds": runtime.prefill(asked["tokens"])})
                case "decode":
                    answer({"seconds": runtime.decode(asked["tokens"], asked["context"])})
                case name:
                    answer({"error": f"{name}: no such command"})
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    child(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
