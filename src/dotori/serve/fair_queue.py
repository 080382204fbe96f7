"""Whose turn is next: clients in a circle, each one's requests in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any


class FairQueue:
    """Items of clients, all of one type. Not locked: the owner holds its own lock."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Any]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def push(self, client: str, item: Any) -> None:
        """Adds an item at the end of its client's line."""
        self._lines.setdefault(client, deque()).append(item)

    def pop(self) -> Any:
        """The next client's first item; the client then comes last. Raises IndexError when there is none."""
        if not self._lines:
            raise IndexError("an empty queue")
        client, line = next(iter(self._lines.items()))
        item = line.popleft()
        del self._lines[client]
        if line:
            self._lines[client] = line
        return item

    def take(self, is_wanted: Callable[[Any], bool]) -> list[Any]:
        """Removes and returns the items that are wanted, in no particular order."""
        taken = []
        for client, line in list(self._lines.items()):
            taken += [item for item in line if is_wanted(item)]
            if kept := deque(item for item in line if not is_wanted(item)):
                self._lines[client] = kept
            else:
                del self._lines[client]
        return taken
