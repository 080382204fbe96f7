"""The engine against the session alone: same ids, same draws, same ends, whoever else is being served."""

import dataclasses
import threading
from collections import deque
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dotori.checkpoint.gguf import write_gguf
from dotori.errors import UserError
from dotori.model.sampling import Sampling
from dotori.runtime.session import Session
from dotori.runtime.torch_session import TorchSession
from dotori.serve.engine import Engine, Finish, Full, Piece, Request
from dotori.serve.fair_queue import FairQueue
from dotori.tokenizer.stream import StreamDecoder

CONTEXT = 256


@pytest.fixture(scope="module")
def oracle(random_model) -> TorchSession:
    return random_model(CONTEXT)


@pytest.fixture(scope="module")
def session(oracle: TorchSession, tmp_path_factory) -> Session:
    path: Path = tmp_path_factory.mktemp("served") / "model-F32.gguf"
    tensors = {name: parameter.detach() for name, parameter in oracle.model.named_parameters()}
    write_gguf(path, oracle.config, tensors, oracle.tokenizer, "F32", {})
    return Session(path, threads=2)


@pytest.fixture(scope="module")
def engine(session: Session):
    engine = Engine(session, slots=4)
    yield engine
    engine.close()


class Listener:
    """Collects the events of one request."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.finish: Finish | None = None
        self.done = threading.Event()

    def __call__(self, event) -> None:
        assert self.finish is None, "nothing may follow the end"
        if isinstance(event, Finish):
            self.finish = event
            self.done.set()
        else:
            self.pieces.append(event)

    def wait(self) -> Finish:
        assert self.done.wait(60), "no end came"
        assert self.finish is not None
        return self.finish

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)


def asked(engine: Engine, request: Request) -> Listener:
    listener = Listener()
    engine.submit(request, listener)
    listener.wait()
    return listener


def alone(session: Session, request: Request) -> str:
    s, decoder = request.sampling, StreamDecoder(session.tokenizer)
    ids = session.fork().generate(
        request.prompt,
        request.max_tokens,
        s.temperature,
        s.seed,
        request.stop,
        request.ignore_eos,
        s.top_k,
        s.top_p,
        s.min_p,
        s.repetition_penalty,
    )
    return "".join([decoder.push(index) for index in ids] + [decoder.finish()])


prompts = st.lists(st.integers(0, 299), min_size=1, max_size=120).map(tuple)
samplings = st.one_of(
    st.just(Sampling()),
    st.builds(Sampling, st.floats(0.3, 2), st.integers(0, 50), st.floats(0.5, 1), seed=st.integers(0, 2**64 - 1)),
    st.builds(Sampling, st.just(0.0), repetition_penalty=st.floats(1, 1.5)),
)
requests = st.builds(
    Request,
    prompts,
    st.integers(1, 60),
    samplings,
    stop=st.lists(st.sampled_from(["도", "squirrel", "e", " a", "�"]), max_size=2).map(tuple),
    ignore_eos=st.booleans(),
    client=st.sampled_from("abc"),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(requests, min_size=1, max_size=9))
def test_many_at_once_get_what_each_gets_alone(engine: Engine, session: Session, many):
    listeners = [Listener() for _ in many]
    for request, listener in zip(many, listeners, strict=True):
        engine.submit(request, listener)
    for request, listener in zip(many, listeners, strict=True):
        finish = listener.wait()
        assert listener.text == alone(session, request)
        assert finish.reason in ("stop", "length")
        assert finish.prompt_tokens == len(request.prompt)
        assert 0 <= finish.cached_tokens < len(request.prompt)
        assert finish.completion_tokens <= request.max_tokens


def test_a_prompt_longer_than_a_step(oracle, session: Session, tmp_path):
    engine = Engine(session, slots=2)
    long, short = tuple(range(3, 203)), (5, 6, 7)
    listeners = [Listener(), Listener()]
    engine.submit(Request(short, 100, Sampling(), ignore_eos=True), listeners[0])
    engine.submit(Request(long, 40, Sampling(), ignore_eos=True), listeners[1])
    texts = [listener.wait() and listener.text for listener in listeners]
    engine.close()
    assert texts[0] == alone(session, Request(short, 100, Sampling(), ignore_eos=True))
    assert texts[1] == alone(session, Request(long, 40, Sampling(), ignore_eos=True))


def test_what_was_read_is_not_read_again(session: Session):
    engine = Engine(session, slots=2)
    prompt = tuple(range(10, 90))
    assert asked(engine, Request(prompt, 5, Sampling())).finish.cached_tokens == 0
    assert asked(engine, Request((*prompt, 7, 8), 5, Sampling())).finish.cached_tokens == 80
    # Two at once: one of them borrows from the other's slot.
    both = [Listener(), Listener()]
    for number, listener in enumerate(both):
        engine.submit(Request((*prompt, 9, number), 30, Sampling(), ignore_eos=True), listener)
    assert [listener.wait().cached_tokens >= 80 for listener in both] == [True, True]
    for number, listener in enumerate(both):
        assert listener.text == alone(session, Request((*prompt, 9, number), 30, Sampling(), ignore_eos=True))
    engine.close()


def test_log_probabilities(engine: Engine, session: Session):
    request = Request((3, 4, 5), 12, Sampling(temperature=1.0, seed=3), top_logprobs=3, ignore_eos=True)
    listener = asked(engine, request)
    tokens = [token for piece in listener.pieces for token in piece.tokens]
    ids = [token.id for token in tokens]
    assert ids == list(session.fork().generate([3, 4, 5], 12, 1.0, 3, ignore_eos=True))
    assert b"".join(token.text_bytes for token in tokens).decode(errors="replace") == listener.text
    logits = session.fork().logits([3, 4, 5, *ids[:-1]])[2:].astype(np.float64)
    expected = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    for row, token in zip(expected, tokens, strict=True):
        assert token.logprob == pytest.approx(row[token.id], abs=1e-4)
        assert [index for index, _ in token.top] == list(np.argsort(-row, kind="stable")[:3])
        assert [value for _, value in token.top] == pytest.approx(sorted(row)[:-4:-1], abs=1e-4)


class Only:
    """Allows the given ids, one after the other."""

    def __init__(self, ids: list[int]) -> None:
        self.left = deque(ids)

    def bitmask(self) -> np.ndarray:
        words = np.zeros(10, np.uint32)
        words[self.left[0] // 32] = 1 << self.left[0] % 32
        return words

    def accept(self, index: int) -> None:
        assert index == self.left.popleft()

    @property
    def is_done(self) -> bool:
        return not self.left


def test_a_constraint_decides(engine: Engine, session: Session):
    ids = session.tokenize("도토리 acorns")
    for sampling in (Sampling(), Sampling(temperature=2.0)):
        listener = asked(engine, Request((3,), 50, sampling, constraint=Only(ids)))
        assert (listener.text, listener.finish.reason) == ("도토리 acorns", "stop")
        assert listener.finish.completion_tokens == len(ids)


class Broken(Only):
    def bitmask(self) -> np.ndarray:
        return np.zeros(10, np.uint32)


def test_a_constraint_that_allows_nothing_ends_only_its_own_request(engine: Engine, session: Session):
    good, bad = Listener(), Listener()
    request = Request((9, 8), 40, Sampling(), ignore_eos=True)
    engine.submit(request, good)
    engine.submit(Request((3,), 50, Sampling(), constraint=Broken([1])), bad)
    assert (bad.wait().reason, good.wait().reason) == ("error", "length")
    assert "no token allowed" in bad.finish.message
    assert good.text == alone(session, request)


def test_embeddings(engine: Engine, oracle: TorchSession):
    ids = list(range(5, 205))
    found = engine.embed(ids)
    with torch.no_grad():
        expected = oracle.model.hidden(torch.tensor([ids]), None, None)[0].mean(0).numpy()
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=2e-3)
    np.testing.assert_array_equal(found, engine.embed(ids))
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-6)


def test_cancelling(session: Session):
    engine = Engine(session, slots=1)
    first, second, third = Listener(), Listener(), Listener()
    request = Request((3, 4), 250, Sampling(), ignore_eos=True)
    tickets = [engine.submit(request, listener) for listener in (first, second, third)]
    tickets[1].cancel()  # waiting
    assert second.wait().reason == "cancelled"
    tickets[0].cancel()  # under way, or done if the machine is quick
    assert first.wait().reason in ("cancelled", "length")
    assert third.wait().reason == "length"
    assert third.text == alone(session, request)
    assert engine.state()["active"] == engine.state()["waiting"] == 0
    tickets[2].cancel()
    engine.close()


def test_a_listener_that_fails_frees_its_slot(session: Session):
    engine = Engine(session, slots=1)

    def broken(event) -> None:
        raise ConnectionError

    engine.submit(Request((3, 4), 250, Sampling(), ignore_eos=True), broken)
    assert asked(engine, Request((3, 4), 5, Sampling(), ignore_eos=True)).finish.reason == "length"
    engine.close()


def test_full_expired_and_closed(session: Session):
    engine = Engine(session, slots=1, queue=2)
    blocked, released = threading.Event(), threading.Event()

    def hold(event) -> None:
        blocked.set()
        released.wait(60)

    engine.submit(Request((3,), 2, Sampling(), ignore_eos=True), hold)
    assert blocked.wait(60)
    waiting = [Listener(), Listener()]
    for listener in waiting:
        engine.submit(Request((3,), 2, Sampling()), listener)
    with pytest.raises(Full) as caught:
        engine.submit(Request((3,), 2, Sampling()), Listener())
    assert 1 <= caught.value.retry_after <= 60
    engine.patience = 0.0
    released.set()
    assert [listener.wait().reason for listener in waiting] == ["expired", "expired"]
    engine.close()
    with pytest.raises(Full):
        engine.submit(Request((3,), 2, Sampling()), Listener())


def test_closing_ends_what_runs(session: Session):
    engine = Engine(session, slots=1)
    held, running, waiting = threading.Event(), Listener(), Listener()

    def slowly(event) -> None:
        running(event)
        held.wait(0.05)

    engine.submit(Request((3,), 250, Sampling(), ignore_eos=True), slowly)
    engine.submit(Request((3,), 250, Sampling(), ignore_eos=True), waiting)
    engine.close(drain=0.2)
    assert (running.wait().reason, waiting.wait().reason) == ("error", "error")
    assert "closing" in running.finish.message


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"prompt": ()}, "no tokens"),
        ({"prompt": (320,)}, "token id 320"),
        ({"max_tokens": 0}, "max_tokens: 0"),
        ({"max_tokens": CONTEXT}, f"this model holds {CONTEXT}"),
    ],
)
def test_wrong_requests(engine: Engine, change, part):
    request = dataclasses.replace(Request((3,), 5, Sampling()), **change)
    with pytest.raises(UserError, match=part):
        engine.submit(request, Listener())


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_clients_take_turns(clients):
    queue = FairQueue()
    for number, client in enumerate(clients):
        queue.push(client, (client, number))
    assert len(queue) == len(clients)
    popped = [queue.pop() for _ in clients]
    assert sorted(number for _, number in popped) == list(range(len(clients)))
    for client in "abc":
        numbers = [number for name, number in popped if name == client]
        assert numbers == sorted(numbers)
    # As long as all are waiting, no client is served twice before another is served once.
    some = min((clients.count(client) for client in set(clients)), default=0)
    served = [client for client, _ in popped[: some * len(set(clients))]]
    assert all(served.count(client) == some for client in set(clients))
    with pytest.raises(IndexError):
        queue.pop()
