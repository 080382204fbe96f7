"""Counters for Prometheus, in its text format 0.0.4."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Histogram:
    """Counts of durations in seconds."""

    def __init__(self) -> None:
        self.counts, self.sum = [0] * (len(_BUCKETS) + 1), 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.sum += seconds
        self.counts[sum(seconds > edge for edge in _BUCKETS)] += 1

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """In Prometheus' text format."""
        total = 0
        for edge, count in zip([*map(str, _BUCKETS), "+Inf"], self.counts, strict=True):
            total += count
            yield f'{name}_bucket{{{labels},le="{edge}"}} {total}'
        yield f"{name}_sum{{{labels}}} {self.sum:.6f}"
        yield f"{name}_count{{{labels}}} {total}"


class Metrics:
    """What happened since the server began; only the event loop may change it."""

    def __init__(self) -> None:
        self._requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._durations: defaultdict[str, Histogram] = defaultdict(Histogram)
        self._first: defaultdict[str, Histogram] = defaultdict(Histogram)
        self._tokens: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._ends: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.dropped_connections = 0

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered; 499 stands for a client that left."""
        self._requests[route, status] += 1
        self._durations[route].add(seconds)

    def answer(self, model: str, prompt: int, completion: int, cached: int, reason: str, first: float) -> None:
        """A generation ended."""
        for kind, count in (("prompt", prompt), ("completion", completion), ("cached", cached)):
            self._tokens[model, kind] += count
        self._ends[model, reason] += 1
        if first > 0:
            self._first[model].add(first)

    def text(self, engines: Mapping[str, Mapping[str, object]], gauges: Mapping[str, float]) -> str:
        """The page; `engines` holds each engine's state."""
        lines = [
            *_block(
                "dotori_requests_total",
                "counter",
                "Requests by route and status; 499: the client left.",
                (f'{{route="{r}",status="{s}"}} {n}' for (r, s), n in sorted(self._requests.items())),
            ),
            *_block(
                "dotori_tokens_total",
                "counter",
                "Tokens read, written, and found in the prefix cache.",
                (f'{{model="{m}",kind="{k}"}} {n}' for (m, k), n in sorted(self._tokens.items())),
            ),
            *_block(
                "dotori_answers_total",
                "counter",
                "Answers by how they ended.",
                (f'{{model="{m}",reason="{r}"}} {n}' for (m, r), n in sorted(self._ends.items())),
            ),
        ]
        for name, about, table, label in (
            ("dotori_request_seconds", "Time to the end of a response.", self._durations, "route"),
            ("dotori_first_token_seconds", "Time to the first token, waiting included.", self._first, "model"),
        ):
            lines += [f"# HELP {name} {about}", f"# TYPE {name} histogram"]
            for key, histogram in sorted(table.items()):
                lines += histogram.lines(name, f'{label}="{key}"')
        for key in sorted({key for state in engines.values() for key in state}):
            rows = [f'{{model="{m}"}} {s[key]}' for m, s in engines.items() if isinstance(s.get(key), int | float)]
            if rows:
                kind = "counter" if key.endswith("_total") else "gauge"
                lines += _block(f"dotori_engine_{key}", kind, f"The engine's {key.replace('_', ' ')}.", rows)
        for key, value in gauges.items():
            lines += _block(f"dotori_{key}", "gauge", f"{key.replace('_', ' ').capitalize()}.", [f" {value}"])
        lines += _block(
            "dotori_connections_dropped_total",
            "counter",
            "Connections closed to make room or for being too slow.",
            [f" {self.dropped_connections}"],
        )
        return "\n".join(lines) + "\n"


def _block(name: str, kind: str, about: str, rows: Iterable[str]) -> list[str]:
    return [f"# HELP {name} {about}", f"# TYPE {name} {kind}", *(f"{name}{row}" for row in rows)]
