"""Nothing leaves the machine: every verb runs where only loopback exists, and each of its system calls is watched."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CALLS = "connect,sendto,sendmsg,sendmmsg,bind,open,openat"
# Whoever looks a name up reads this file or asks this daemon.
LOOKUPS = ("/etc/resolv.conf", "/nscd/socket", "io.systemd.Resolve")
INTERNET = re.compile(r'sa_family=AF_INET6?.*?(?:inet_addr\("([^"]*)"|inet_pton\(AF_INET6, "([^"]*)")')
LOOPBACK = re.compile(r"^(127\.|::1$|::ffff:127\.)")
DOTORI = [sys.executable, "-m", "dotori.cli.main"]
OUTSIDE = "192.0.2.1"  # reserved for documentation (RFC 5737): nobody is there

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("strace") is None
        or shutil.which("unshare") is None
        or subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode != 0,
        reason="strace and network namespaces are needed (Debian: strace, util-linux)",
    ),
]


def watched(command: list[str], folder: Path) -> tuple[subprocess.CompletedProcess, list[str]]:
    """Runs a command with loopback as its only network; its result, and the lines of the trace that reach further."""
    trace = folder / "trace"
    inside = 'ip link set lo up 2>/dev/null; exec "$@"'
    words = ["strace", "-f", "-qq", "--seccomp-bpf", "-s", "200", "-e", f"trace={CALLS}", "-o", str(trace)]
    environment = os.environ | {
        name: f"http://{OUTSIDE}:9" for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy")
    }
    done = subprocess.run(
        ["unshare", "-rn", "sh", "-c", inside, "sh", *words, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done, [line for line in trace.read_text(errors="replace").splitlines() if reaches_out(line)]


def reaches_out(line: str) -> bool:
    """Whether a line of a trace shows an address beyond loopback, or a name that is looked up."""
    if found := INTERNET.search(line):
        return not LOOPBACK.match(found[1] or found[2])
    return any(mark in line for mark in LOOKUPS)


@pytest.mark.parametrize(
    "call",
    [
        f"socket.create_connection(('{OUTSIDE}', 80), timeout=1)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
        "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('2001:db8::1', 53))",
        "socket.getaddrinfo('nowhere.invalid', 80)",
        "socket.create_server(('0.0.0.0', 0))",
    ],
)
def test_the_watch_catches_whoever_calls_out(call: str, tmp_path: Path):
    code = f"import socket, subprocess, sys\ntry:\n    {call}\nexcept OSError:\n    pass"
    # In a child's child: everything that a command starts is watched.
    done, caught = watched(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"], tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert caught


def test_loopback_is_allowed(tmp_path: Path):
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname())"
    done, caught = watched([sys.executable, "-c", code], tmp_path)
    assert (done.returncode, caught) == (0, []), done.stderr


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_recipe_runs_the_same_without_a_network(micro_recipe: Path, micro_run: Path, tmp_path: Path):
    done, caught = watched([*DOTORI, "run", str(micro_recipe), "--out", "run", "--set", "seed=5"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert caught == []
    for name in ("tokenizer/tokenizer.json", "sft/model.safetensors"):
        assert digest(tmp_path / "run" / name) == digest(micro_run / name), name


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "tokenizer {recipe} --out made",
        "data {recipe} --tokenizer {run}/tokenizer --out made",
        "train {recipe} --stage train --data {run}/data --out made",
        "adapt sft {recipe} --data {run}/data --init {run}/decay --out made",
        "tunnel check {run}/data --out made --set tunnel.check_widths=[32,64] --set train.context=64",
        "verify {run}",
        "inspect {run}/sft",
        "chat {run}/sft --prompt 안녕 --max-tokens 5",
        "chat {run}/export-q4_0 --prompt 안녕 --max-tokens 5",
        "eval bpb {run}/export-q4_0 text.txt --json",
        "eval storyworld {run}/export-q4_0 --count 2 --json",
        "export gguf {run}/sft --type Q8_0 --out made",
        "bench {run}/export-q4_0 --tokens 4 --json",
        "doctor --out device.toml",
    ],
)
def test_a_verb_reaches_nothing(words: str, micro_recipe: Path, micro_run: Path, tmp_path: Path):
    (tmp_path / "text.txt").write_text("미나는 공원에 갔어요. Mina went to the park.")
    places = {"run": micro_run, "recipe": micro_recipe}
    done, caught = watched([*DOTORI, *(word.format(**places) for word in words.split())], tmp_path)
    assert done.returncode == 0, done.stderr
    assert caught == []


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ("export web {run}/export-q4_0 --out made", "npm pack"),
        ("export android {run}/export-q4_0 --out made", "npm pack|apt-get install"),
        ("export executorch {run}/sft --type fp32 --out made", "not installed"),
        ("export onnx {run}/sft --type fp32 --out made", "not installed"),
    ],
)
def test_an_export_for_other_engines_reaches_nothing(words: str, missing: str, micro_run: Path, tmp_path: Path):
    """Done where its packages are here; else one line tells how to get them, and nothing tries to."""
    done, caught = watched([*DOTORI, *(word.format(run=micro_run) for word in words.split())], tmp_path)
    if "android" in words:
        # Java and `ls` ask this daemon for the user's name; a host's would be sought in resolv.conf as well.
        caught = [line for line in caught if "/nscd/socket" not in line]
    assert caught == []
    assert (tmp_path / "made" / "lineage.json").is_file() == (done.returncode == 0)
    if done.returncode:
        assert (done.returncode, done.stderr.count("\n")) == (65, 1), done.stderr
        assert re.search(missing, done.stderr)


SESSION = """
import json, socket, subprocess, sys, urllib.request
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
words = [sys.executable, "-m", "dotori.cli.main", "serve", f"m={sys.argv[1]}", "--port", str(port)]
with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as server:
    print(server.stderr.readline(), file=sys.stderr)
    say = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    def ask(path, **fields):
        body, headers = json.dumps(fields).encode() if fields else None, {"content-type": "application/json"}
        with say.open(urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers), timeout=60) as answer:
            return answer.read()
    said = [{"role": "user", "content": "안녕"}]
    for path in ("/", "/config.json", "/v1/models", "/health", "/metrics", "/openapi.json"):
        ask(path)
    ask("/v1/chat/completions", model="m", messages=said, max_tokens=5)
    ask("/v1/chat/completions", model="m", messages=said, max_tokens=5, stream=True)
    ask("/v1/chat/completions", model="m", messages=said, max_tokens=20, response_format={"type": "json_object"})
    ask("/v1/completions", model="m", prompt="안녕", max_tokens=5)
    ask("/v1/responses", model="m", input="안녕", max_output_tokens=16)
    ask("/v1/embeddings", model="m", input="안녕")
    ask("/v1/rerank", model="m", query="도토리", documents=["도토리는 참나무의 열매", "acorn"])
    server.terminate()
sys.exit(server.returncode)
"""


def test_a_server_session_reaches_nothing(micro_run: Path, tmp_path: Path):
    done, caught = watched([sys.executable, "-c", SESSION, str(micro_run / "export-q4_0")], tmp_path)
    assert done.returncode == 0, done.stderr
    assert caught == []
