"""A small server of the same API that says what a test tells it to, for answers that no model can be made to give.

It serves the page as `dotori serve` does, headers included, so that failures, hostile answers and slow streams are
tested in the real page.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WEB = Path(__file__).resolve().parents[2] / "web"
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; font-src 'self'; worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}


class Standin:
    """The server, and what it shall do: `reply` gives the pieces of an answer to a request's body."""

    def __init__(self) -> None:
        self.reply: Callable[[dict], Iterable[str]] = lambda body: ["안녕", "하세요."]
        self.models = [{"id": "stand-in", "object": "model", "context": 2048}]
        self.refusal: tuple[int, str, str] | None = None  # status, code, message
        self.key = ""
        self.delay = 0.0
        self.asked: list[dict] = []
        self.left = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._run()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}/"

    def _run(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Goes away, as a server that is killed."""
        self._server.shutdown()
        self._server.server_close()

    def start_again(self) -> None:
        """Comes back under the same address."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self._server.daemon_threads = True
        self._run()

    def questions(self) -> list[str]:
        """The last message of each request so far."""
        return [body["messages"][-1]["content"] for body in self.asked]


def _handler(standin: Standin) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path == "/config.json":
                self.send_json({"engine": "server"})
            elif path == "/health":
                self.send_json({"status": "ok"})
            elif path == "/v1/models":
                if self.allowed():
                    self.send_json({"object": "list", "data": standin.models})
            else:
                self.send_file("index.html" if path == "/" else path.lstrip("/"))

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            if not self.allowed():
                return
            if standin.refusal:
                status, code, message = standin.refusal
                self.send_json({"error": {"message": message, "code": code, "type": "server_error"}}, status)
            elif self.path == "/v1/rerank":
                body = json.loads(raw)
                self.send_json({"results": list(ranked(body))[: body["top_n"]]})
            elif self.path == "/documents/text":
                self.send_json({"pages": ["첫 쪽입니다. 도토리는 가을에 익습니다.", "둘째 쪽입니다."]})
            else:
                self.stream(json.loads(raw))

        def allowed(self) -> bool:
            if not standin.key or self.headers.get("Authorization") == f"Bearer {standin.key}":
                return True
            self.send_json({"error": {"message": "a key is needed", "code": "invalid_api_key"}}, 401)
            return False

        def stream(self, body: dict) -> None:
            standin.asked.append(body)
            standin.left.clear()
            self.begin(200, "text/event-stream")
            count = 0
            try:
                for piece in standin.reply(body):
                    count += 1
                    self.event({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
                    time.sleep(standin.delay)
                self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
                prompt = sum(len(message["content"]) for message in body["messages"])
                self.event({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": count}})
                self.wfile.write(b"data: [DONE]\n\n")
            except (BrokenPipeError, ConnectionResetError):
                standin.left.set()

        def event(self, body: dict) -> None:
            self.wfile.write(b"data: " + json.dumps(body, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n")

        def send_json(self, body: object, status: int = 200) -> None:
            self.begin(status, "application/json")
            self.wfile.write(json.dumps(body).encode())

        def send_file(self, name: str) -> None:
            path = (WEB / name).resolve()
            if WEB not in path.parents or not path.is_file():
                self.send_json({"error": {"message": "not found"}}, 404)
                return
            self.begin(200, TYPES.get(path.suffix, "application/octet-stream"))
            self.wfile.write(path.read_bytes())

        def begin(self, status: int, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()

    return Handler


def ranked(body: dict) -> Iterator[dict]:
    """Documents by the bigrams they share with the query."""

    def pairs(text: str) -> set[str]:
        return {word[at : at + 2] for word in text.lower().split() for at in range(max(len(word) - 1, 1))}

    scores = [len(pairs(body["query"]) & pairs(text)) for text in body["documents"]]
    for index in sorted(range(len(scores)), key=lambda index: -scores[index]):
        yield {"index": index, "relevance_score": scores[index]}
