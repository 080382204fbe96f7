"""Who may speak to the server: the Host, Origin and key of every route that the router knows, over raw sockets."""

import http.client
import json
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest
from local_server import KEY

from dotori.serve.guard import allowed_hosts
from dotori.serve.http import ROUTES

METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD")
PAGE_PATHS = ("/", "/index.html", "/js/main.js", "/icon.svg")
STREAM = json.dumps({"model": "acorn", "prompt": "a", "max_tokens": 3, "stream": True}).encode()


def hosts(port: int) -> dict[str, bool]:
    """Host header -> whether it is ours."""
    ours = [f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"]
    foreign = [
        *("", " ", "evil.example", f"evil.example:{port}", f"localhost.evil.example:{port}"),
        *(f"127.0.0.1.nip.io:{port}", f"0.0.0.0:{port}", f"[::ffff:127.0.0.1]:{port}", f"2130706433:{port}"),
        *(f"0x7f000001:{port}", f"127.1:{port}", f"127.0.0.2:{port}", f"localhost.:{port}", f"127.0.0.1.:{port}"),
        *(f"LOCALHOST:{port}", f"Localhost:{port}", "127.0.0.1", "localhost", "[::1]", f"127.0.0.1:{port + 1}"),
        *("127.0.0.1:", "127.0.0.1:80", f"127.0.0.1:0{port}", f"127.0.0.1:{port}:{port}", f"::1:{port}"),
        *(f"x@127.0.0.1:{port}", f"127.0.0.1:{port}@evil.example", f"127.0.0.1:{port},evil.example"),
        *("x/v1/models?", f"127.0.0.1:{port}/health", f"127.0.0.1:{port}#", f"evil.example/health?127.0.0.1:{port}"),
        *("*", "null", f"127.0.0.1%00:{port}", f"//127.0.0.1:{port}", f"http://127.0.0.1:{port}", "a" * 3000),
    ]
    return dict.fromkeys(ours, True) | dict.fromkeys(foreign, False)


def origins(port: int) -> dict[str | None, bool]:
    """Origin header of a page at 127.0.0.1 -> whether it may pass."""
    ours = [None, f"http://127.0.0.1:{port}"]
    foreign = [
        *("null", "", f"http://127.0.0.1:{port + 1}", "http://127.0.0.1", f"http://localhost:{port}"),
        *("http://evil.example", f"http://evil.example:{port}", f"http://127.0.0.1:{port}.evil.example", "file://"),
        *("chrome-extension://abcdefghijklmnop", f"HTTP://127.0.0.1:{port}", f"http://127.0.0.1:{port}/", "*"),
        f"http://127.0.0.1:{port} http://evil.example",
    ]
    return dict.fromkeys(ours, True) | dict.fromkeys(foreign, False)


class Probe:
    """One connection that sends odd headers again and again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def close(self) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, headers: list[tuple[str, str | bytes]]) -> tuple[int, dict, bytes]:
        """(status, headers, body)."""
        connection = self._connection
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        body = b""
        if method == "POST":
            body = b"text" if path == "/documents/text" else STREAM
            kind = "text/plain" if path == "/documents/text" else "application/json"
            headers = [*headers, ("Content-Type", kind), ("Content-Length", str(len(body)))]
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


@pytest.fixture
def probe(server):
    with closing(Probe(server.port)) as found:
        yield found


def routes(running) -> list[str]:
    """The path of every route that the router knows, a model's name filled in."""
    listed = [path.replace("{id}", "acorn") for path, _, _ in ROUTES]
    return [*listed, *PAGE_PATHS]


def check(probe: Probe, method: str, path: str, headers: list, passes: bool, status: int) -> None:
    found, sent, body = probe.ask(method, path, headers)
    words = (method, path, headers, found)
    assert (found not in (421, 403)) == passes, words
    assert passes or found == status, words
    assert found < 500, words
    assert not [name for name in sent if name.startswith("access-control")], words
    assert sent["x-content-type-options"] == "nosniff"
    if not passes and method != "HEAD":
        assert json.loads(body)["error"]["type"] == "permission_error"


def test_the_router_has_no_other_route(server):
    from dotori.serve.http import application

    guard = application(server.service, {}, frozenset(), None)
    assert [route.path for route in guard.app.routes] == [path for path, _, _ in ROUTES]


def test_foreign_hosts_reach_nothing(server, probe):
    for path, method in product(routes(server), METHODS):
        for host, passes in hosts(server.port).items():
            check(probe, method, path, [("Host", host)], passes, 421)


def test_foreign_origins_reach_nothing(server, probe):
    own = ("Host", f"127.0.0.1:{server.port}")
    for path, method in product(routes(server), METHODS):
        for origin, passes in origins(server.port).items():
            check(probe, method, path, [own] if origin is None else [own, ("Origin", origin)], passes, 403)


@pytest.mark.slow
def test_every_host_with_every_origin(server, probe):
    for path, method, host, origin in product(
        routes(server), METHODS, hosts(server.port).items(), origins(server.port).items()
    ):
        if not (host[1] and origin[1]) and host[0].startswith("127.0.0.1:"):
            headers = [("Host", host[0])] + ([] if origin[0] is None else [("Origin", origin[0])])
            found, _, _ = probe.ask(method, path, headers)
            assert found == (421 if not host[1] else 403)


def test_other_sites_are_told_apart_by_the_browsers_own_words(server, probe):
    own = ("Host", f"127.0.0.1:{server.port}")
    for site, mode, path, passes in [
        ("cross-site", "navigate", "/", True),
        ("cross-site", "no-cors", "/", False),
        ("cross-site", "navigate", "/v1/models", False),
        ("same-site", "cors", "/v1/models", False),
        ("same-origin", "cors", "/v1/models", True),
        ("none", "navigate", "/v1/models", True),
    ]:
        headers = [own, ("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode)]
        check(probe, "GET", path, headers, passes, 403)


def test_preflights_are_refused(server, probe):
    headers = [
        ("Host", f"127.0.0.1:{server.port}"),
        ("Origin", "http://evil.example"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Private-Network", "true"),
    ]
    for path in routes(server):
        check(probe, "OPTIONS", path, headers, False, 403)


@pytest.mark.parametrize(
    "target", ["http://evil.example/v1/models", "*", "evil.example:443", "//evil.example/v1/models", "v1/models"]
)
def test_targets_that_are_no_paths(server, target):
    answer = server.raw(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
    assert answer.split()[1] in (b"400", b"404")


def test_two_hosts_or_two_ends_of_a_body(server):
    own = f"Host: 127.0.0.1:{server.port}\r\n"
    assert server.raw(f"GET /health HTTP/1.1\r\n{own}{own}\r\n".encode()).startswith(b"HTTP/1.1 400")
    assert server.raw(b"GET /health HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert server.raw(b"GET /health HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 421")
    smuggled = f"POST /v1/completions HTTP/1.1\r\n{own}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert server.raw(smuggled.encode()).startswith(b"HTTP/1.1 400")


def test_a_post_must_say_what_it_sends(server):
    with server.http() as client:
        for path, _, method in ROUTES:
            kinds = (
                "text/plain",
                "application/x-www-form-urlencoded",
                "multipart/form-data",
                "application/jsonx",
                "",
                "*/*",
            )
            if method == "POST":
                for kind in kinds if path != "/documents/text" else ("application/json", "image/png", "textplain"):
                    answer = client.post(path, content=b"{}", headers={"content-type": kind})
                    assert answer.status_code == 415, (path, kind)
                    assert answer.json()["error"]["code"] == "unsupported_media_type"


HEADER_FORMS: list[list[bytes]] = [
    [],
    [b""],
    [b" "],
    [b"Bearer"],
    [b"Bearer "],
    [b"bearer " + KEY.encode()],
    [b"BEARER " + KEY.encode()],
    [b"Bearer  " + KEY.encode()],
    [b"Bearer\t" + KEY.encode()],
    [b"Bearer:" + KEY.encode()],
    [b"Bearer=" + KEY.encode()],
    [KEY.encode()],
    [b"Basic " + KEY.encode()],
    [b"Token " + KEY.encode()],
    [b"Digest " + KEY.encode()],
    [b"Bearer " + KEY.encode()] * 2,
    [b"Bearer " + KEY.encode(), b"Bearer wrong"],
    [b"Bearer wrong", b"Bearer " + KEY.encode()],
    [b"Bearer " + KEY.encode() + b"x"],
    [b"Bearer " + KEY.encode()[:-1]],
    [b"Bearer " + KEY.encode().upper()],
    [b"Bearer " + KEY.encode() + b", Bearer x"],
    [b'Bearer "' + KEY.encode() + b'"'],
    [b"Bearer '" + KEY.encode() + b"'"],
    [b"Bearer null"],
    [b"Bearer undefined"],
    [b"Bearer true"],
    [b"Bearer 0"],
    [b"Bearer *"],
    [b"Bearer .*"],
    [b"Bearer %00"],
    [b"Bearer \xff\xfe"],
    ["Bearer 키".encode()],
    [b"Bearer " + KEY.encode() + "\u00a0".encode()],
    [b"Bearer " + b"a" * 20_000],
    [b"Bearer " + KEY.encode() * 1000],
    [b"Bearer eyJhbGciOiJub25lIn0.e30."],
    [b"Bearer admin"],
    [b"Bearer Bearer " + KEY.encode()],
    [b"Bearer " + KEY.encode()[::-1]],
]


def test_a_key_is_asked_for_everywhere_but_health_and_the_page(locked):
    own = ("Host", f"127.0.0.1:{locked.port}")
    assert len(HEADER_FORMS) == 40
    open_ones = {"/health", "/config.json", *PAGE_PATHS}
    with closing(Probe(locked.port)) as probe:
        for path, method, form in product(routes(locked), METHODS, HEADER_FORMS):
            is_open = path == "/health" or (path in open_ones and method in ("GET", "HEAD"))
            found, sent, body = probe.ask(method, path, [own, *(("Authorization", value) for value in form)])
            assert (found == 401) != is_open, (method, path, form, found)
            if found == 401:
                assert sent["www-authenticate"] == "Bearer"
                assert method == "HEAD" or json.loads(body)["error"]["code"] == "invalid_api_key"


def test_the_key_opens(locked):
    client = locked.client(KEY)
    assert client.models.list().data[0].id == "acorn"
    assert client.completions.create(model="acorn", prompt="a", max_tokens=2).usage.completion_tokens <= 2
    with locked.http() as plain:
        assert plain.get("/").text.startswith("<!doctype")
    twins = ("/%69ndex.html", "//index.html", "/./index.html", "/health/", "/Health", "/health%2f", "/x/../health")
    with closing(Probe(locked.port)) as probe:
        for twin in twins:
            assert probe.ask("GET", twin, [("Host", f"127.0.0.1:{locked.port}")])[0] == 401


def test_paths_lead_to_the_table_only(server):
    names = ["..", "../", "%2e%2e/", "..%2f", "%252e%252e%252f", "..\\", "..%5c", "/etc/passwd", "C:\\", "\\\\host\\x"]
    names += ["%00", ".hidden.js", "notes.unknown", "linked.txt", "con", "index.html.", "index.html%20", "INDEX.HTML"]
    names += ["a" * 4000, "js", "js/", "js/../index.html", "index.html/", "index.html::$DATA", "%ff", "도토리"]
    for name, prefix in product(names, ("/", "/v1/models/", "/js/", "/%2e%2e/%2e%2e/")):
        answer = server.raw(f"GET {prefix}{name} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
        assert answer.split()[1] in (b"400", b"404"), (prefix, name)
        assert b"root:" not in answer


def test_the_page_is_sent_with_its_policy(server):
    with server.http() as client:
        page = client.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-cache"
        again = client.get("/", headers={"if-none-match": page.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert client.get("/js/main.js").headers["content-type"] == "text/javascript; charset=utf-8"
        assert client.head("/").content == b""
        assert client.get("/config.json").json() == {"engine": "server"}
        assert client.get("/health").headers["content-security-policy"].startswith("default-src 'none'")
        for path, status in (("/nowhere", 404), ("/v1/chat/completions", 405)):
            answer = client.get(path)
            assert answer.status_code == status
            assert answer.json()["error"]["type"] in ("not_found_error", "invalid_request_error")


def test_names_that_are_allowed():
    assert allowed_hosts("127.0.0.1", 8080) == {b"127.0.0.1:8080", b"localhost:8080", b"[::1]:8080"}
    assert b"localhost" in allowed_hosts("127.0.0.1", 80)
    assert b"0.0.0.0:8080" not in allowed_hosts("0.0.0.0", 8080)
    assert b"192.168.0.5:8080" in allowed_hosts("192.168.0.5", 8080)
    assert {b"acorn.local", b"acorn.local:8080"} <= allowed_hosts("0.0.0.0", 8080, ["acorn.local"])


def test_an_allowed_name_works(start):
    with start(allow_hosts=("acorn.local",)) as running, running.http(headers={"host": "acorn.local"}) as client:
        assert client.get("/v1/models").status_code == 200
        assert client.get("/v1/models", headers={"origin": "https://acorn.local"}).status_code == 200
        assert client.get("/v1/models", headers={"origin": "https://evil.example"}).status_code == 403


def test_only_loopback_is_listened_on(server):
    local = {
        line.split()[1] for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"
    }
    assert f"0100007F:{server.port:04X}" in local
    assert not [place for place in local if place.endswith(f":{server.port:04X}") and place[:8] != "0100007F"]
