"""The phone app in Chromium: speed beside wllama's own plain example, size of the shell, second start offline.

    python benchmarks/phone.py MODEL [--times 8] [--rounds 15] [--out NAME]

MODEL is a GGUF file or export folder; the npm packages must be in the cache (dotori export web --npm puts them there).
Chromium runs here under a phone's screen size and touch, with this computer's processor: these are no phone's figures.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import shutil
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measure import median, write
from playwright.sync_api import BrowserContext, Page, sync_playwright

from dotori.export.npm import PACKAGES, find_packages, read_members
from dotori.export.web import WebSettings, export_web, model_file
from dotori.runlog import RunLog

PHONE = {"viewport": {"width": 412, "height": 839}, "device_scale_factor": 2.625, "is_mobile": True, "has_touch": True}
QUESTION = "미나는 공원에 갔어요. 무엇을 보았나요?"
# Rounds that do not count: Chromium compiles the engine a second time while it already runs.
WARM = 6
# What the package's README shows under "Simple usage", with the file at hand and greedy choices.
PLAIN = """<!doctype html><meta charset="utf-8"><script type="module">
import { Wllama } from './wllama.js';
const wllama = new Wllama({ default: './wllama.wasm' });
await wllama.loadModelFromUrl(new URL('model.gguf', location).href, { n_ctx: CONTEXT });
globalThis.ask = async (content, times) => {
  const messages = [{ role: 'user', content }];
  const began = performance.now();
  let tokens = 0;
  for (let turn = 0; turn < times; turn += 1) {
    const answer = await wllama.createChatCompletion({ messages, max_tokens: 128, temperature: 0 });
    tokens += answer.usage.completion_tokens;
  }
  return [performance.now() - began, tokens];
};
document.documentElement.dataset.ready = 'yes';
</script>"""
OURS = """async () => {
  const { createEngine } = await import(new URL('js/engine-wllama.js', document.baseURI));
  const engine = createEngine(await (await fetch('config.json')).json());
  await engine.prepare(() => undefined);
  globalThis.ask = async (content, times) => {
    const messages = [{ role: 'user', content }];
    const sampling = { temperature: 0, max_tokens: 128 };
    const began = performance.now();
    let tokens = 0;
    for (let turn = 0; turn < times; turn += 1) {
      for await (const event of engine.chat({ messages, sampling })) {
        if (event.done) tokens += event.usage.completion_tokens;
      }
    }
    return [performance.now() - began, tokens];
  };
}"""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Says nothing."""

    def log_message(self, *_: object) -> None:
        pass


def serve(folder: Path) -> http.server.ThreadingHTTPServer:
    """A static server for `folder`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def stop(server: http.server.ThreadingHTTPServer) -> None:
    """Frees the port."""
    server.shutdown()
    server.server_close()


def plain_site(folder: Path, model: Path, context: int) -> None:
    """wllama's example as a page of its own, with the same files."""
    folder.mkdir()
    members = read_members("wllama", find_packages({}, fetch=False)["wllama"])
    for name in ("vendor/wllama.js", "vendor/wllama.wasm"):
        (folder / Path(name).name).write_bytes(members[name])
    shutil.copyfile(model, folder / "model.gguf")
    (folder / "index.html").write_text(PLAIN.replace("CONTEXT", str(context)), encoding="utf-8")


def ready(page: Page) -> None:
    """Waits until the app can be asked."""
    page.wait_for_selector("#model-place .model:not(:empty)", state="attached", timeout=120_000)
    page.wait_for_selector("dialog.prepare", state="detached", timeout=120_000)


def speeds(context: BrowserContext, app: str, plain: str, times: int, rounds: int) -> dict[str, Any]:
    """Tokens a second of both pages, asked the same in turn, over the wall from questions to last tokens."""
    pages = {}
    for name, url in (("app", app), ("example", plain)):
        pages[name] = context.new_page()
        pages[name].goto(url)
        if name == "app":
            ready(pages[name])
            pages[name].evaluate(OURS)
        else:
            pages[name].wait_for_selector("html[data-ready]", state="attached", timeout=120_000)
    found: dict[str, list[float]] = {name: [] for name in pages}
    counts: dict[str, int] = {}
    for turn in range(rounds + WARM):
        for name in sorted(pages, reverse=bool(turn % 2)):
            pages[name].bring_to_front()
            ms, count = pages[name].evaluate("([content, times]) => ask(content, times)", [QUESTION, times])
            counts[name] = count
            if turn >= WARM:
                found[name].append(count * 1000 / ms)
    for page in pages.values():
        page.close()
    result: dict[str, Any] = {}
    for name, rows in found.items():
        result[f"{name}_tokens_per_second"] = round(median(rows), 1)
        result[f"{name}_tokens"] = counts[name]
        result[f"{name}_all"] = [round(value, 1) for value in rows]
    ratios = [ours / theirs for ours, theirs in zip(found["app"], found["example"], strict=True)]
    return result | {"ratio": round(median(ratios), 3), "ratio_goal": 0.9}


def second_start(playwright: Any, chromium: str, app: str, profile: Path, server: Any, rounds: int) -> dict[str, Any]:
    """Seconds from opening the installed app in a fresh browser without a network to the first token of an answer."""
    options = {**PHONE, "executable_path": chromium, "args": ["--no-sandbox"], "headless": True, "locale": "ko-KR"}
    with playwright.chromium.launch_persistent_context(str(profile), **options) as context:
        page = context.new_page()
        page.goto(app)
        ready(page)
    stop(server)
    opened, spoke = [], []
    for _ in range(rounds):
        with playwright.chromium.launch_persistent_context(str(profile), **options) as context:
            context.set_offline(True)
            page = context.new_page()
            began = time.perf_counter()
            page.goto(app)
            ready(page)
            opened.append(time.perf_counter() - began)
            page.fill("#message", QUESTION)
            page.click("#send")
            page.wait_for_selector(".answer .prose > :not(.waiting)", timeout=60_000)
            spoke.append(time.perf_counter() - began)
    return {
        "opened_seconds": round(median(opened), 2),
        "first_token_seconds": round(median(spoke), 2),
        "first_token_all": [round(value, 2) for value in spoke],
        "goal_seconds": 3.0,
    }


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--times", type=int, default=8, help="questions in a round")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--out", default="phone", help="name in benchmarks/results")
    options = parser.parse_args()
    model = model_file(options.model)
    with TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        packages = find_packages({}, fetch=False)
        metrics = export_web(WebSettings(name="bench"), model, packages, folder / "app", RunLog(quiet=True))
        plain_site(folder / "plain", model, 512)
        app, plain = serve(folder / "app"), serve(folder / "plain")
        urls = [f"http://127.0.0.1:{server.server_port}/" for server in (app, plain)]
        browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        context = browser.new_context(**PHONE, locale="ko-KR")
        result: dict[str, Any] = {"browser": f"Chromium {browser.version}", "model_bytes": metrics["model_bytes"]}
        result["wllama"] = PACKAGES["wllama"].version
        result["speed"] = speeds(context, *urls, options.times, options.rounds)
        browser.close()
        stop(plain)
        result["size"] = {key: metrics[key] for key in ("shell_bytes", "compat_bytes")} | {"shell_goal": 12_000_000}
        result["second_start_offline"] = second_start(
            playwright, options.chromium, urls[0], folder / "profile", app, min(options.rounds, 5)
        )
    write(options.out, result)


if __name__ == "__main__":
    main()
