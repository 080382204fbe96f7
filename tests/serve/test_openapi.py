"""The server against its own description: what it describes it takes, and whatever comes, it answers as described."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from local_server import is_idle, until
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from dotori.serve.http import ROUTES
from dotori.serve.limits import Limits
from dotori.serve.openapi import description

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large, HealthCheck.large_base_example]


def test_every_route_is_described():
    described = description(["acorn"], Limits())["paths"]
    assert {(path, method.upper()) for path, item in described.items() for method in item} == {
        (path, method) for path, _, method in ROUTES
    }


@pytest.fixture(scope="module")
def api(server):
    config = schemathesis.Config.from_dict({"generation": {"allow-x00": False, "codec": "utf-8"}})
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json", config=config)


def shorten(case) -> None:
    """Answers of a few tokens."""
    if isinstance(case.body, dict):
        for field in ("max_tokens", "max_completion_tokens", "max_output_tokens"):
            if isinstance(case.body.get(field), int) and case.body[field] > 8:
                case.body[field] = 8
        if case.path in ("/v1/chat/completions", "/v1/responses"):
            case.body.setdefault("max_completion_tokens" if "chat" in case.path else "max_output_tokens", 8)


def answers_are_as_described(api, path: str, method: str, mode: GenerationMode, examples: int) -> None:
    """Cases that fit the description, or break it in one place; either way the answer fits it."""

    @given(case=api[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=examples, deadline=None, suppress_health_check=QUIET)
    def as_described(case):
        shorten(case)
        answer = case.call_and_validate(checks=CHECKS, timeout=30)
        if mode is GenerationMode.POSITIVE and answer.status_code == 400:
            assert answer.json()["error"]["code"] not in ("unknown_parameter", "missing_required_parameter")

    as_described()


OPERATIONS = [pytest.param(path, method, id=path) for path, _, method in ROUTES]
POSTS = [pytest.param(path, method, id=path) for path, _, method in ROUTES if method == "POST"]


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_cases_that_fit(api, server, path, method):
    answers_are_as_described(api, path, method, GenerationMode.POSITIVE, 12)
    assert until(lambda: is_idle(server))


@pytest.mark.parametrize(("path", "method"), POSTS)
def test_cases_that_do_not(api, server, path, method):
    answers_are_as_described(api, path, method, GenerationMode.NEGATIVE, 12)
    assert until(lambda: is_idle(server))


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("path", "method"), POSTS)
def test_many_more_cases(api, server, path, method, mode):
    answers_are_as_described(api, path, method, mode, 400)
    assert until(lambda: is_idle(server))
