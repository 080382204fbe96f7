"""Processes that tokenize: the ids of the library, in any number of threads; one that dies is one message."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from dotori.errors import UserError
from dotori.tokenizer.load import load_tokenizer
from dotori.tokenizer.workers import Workers

BATCHES = [[f"다람쥐 {n} 도토리.\n\n둘째 줄 {n * n}" for n in range(first, first + 5)] for first in range(0, 60, 5)]


def test_ids_come_back_in_order(tokenizer_folder):
    tokenizer = load_tokenizer(tokenizer_folder)
    with Workers(tokenizer_folder, tokenizer, 2) as workers, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(workers.encode, [*BATCHES, [], [""]]))
    assert [[ids.tolist() for ids in batch] for batch in found] == [
        tokenizer.encode_batch(batch) for batch in [*BATCHES, [], [""]]
    ]


def test_a_killed_worker_is_one_message(tokenizer_folder):
    with Workers(tokenizer_folder, load_tokenizer(tokenizer_folder), 1) as workers:
        workers.encode(["가"])
        os.kill(workers._processes[0].pid, signal.SIGKILL)
        with pytest.raises(UserError, match="worker process ended with -9"):
            workers.encode(["나" * 100_000])


def test_workers_end_with_their_owner(tokenizer_folder):
    with Workers(tokenizer_folder, load_tokenizer(tokenizer_folder), 2) as workers:
        processes = workers._processes
    assert all(process.returncode is not None for process in processes)
