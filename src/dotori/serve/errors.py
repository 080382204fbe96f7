"""Errors in the shape that OpenAI's clients read: {"error": {"message", "type", "param", "code"}}."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse


class ApiError(Exception):
    """An answer other than success; the message has our form `what: value got; rule; what to do`."""

    def __init__(
        self, status: int, message: str, code: str, param: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.retry_after = status, message, code, param, retry_after

    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        return {"error": {"message": self.message, "type": kind(self.status), "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The whole answer."""
        headers = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        if self.status in (408, 413, 431):
            headers["connection"] = "close"
        return JSONResponse(self.body(), self.status, headers)


def kind(status: int) -> str:
    """The `type` that goes with a status."""
    if status == 401:
        return "authentication_error"
    if status in (403, 421):
        return "permission_error"
    if status == 404:
        return "not_found_error"
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"


def invalid(message: str, param: str | None = None, code: str = "invalid_value") -> ApiError:
    """400 for a request that asks for something impossible."""
    return ApiError(400, message, code, param)


def too_long(param: str, tokens: int, context: int, exact: bool = True) -> ApiError:
    """400 for a prompt that does not fit."""
    count = str(tokens) if exact else f"at least {tokens}"
    return ApiError(
        400,
        f"{param}: {count} tokens; this model's maximum context length is {context} tokens, an answer of at least one "
        "included; shorten the prompt",
        "context_length_exceeded",
        param,
    )


def shortened(value: object, most: int = 60) -> str:
    """A value of a request as it may stand in a message: printable and short."""
    if isinstance(value, str | int | float | bool | None):
        text = ascii(value) if not isinstance(value, str) else repr(value[: most + 1])
    else:
        text = f"a {type(value).__name__}"
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= most + 2 else text[:most] + "..."
