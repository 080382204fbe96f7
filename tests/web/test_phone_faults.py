"""What can go wrong on a phone: downloads, storage, memory, old browsers, a dying engine; each with a way on."""

import shutil

import pytest

from dotori.export.web import WebSettings, export_web, write_app
from dotori.runlog import RunLog
from dotori.runtime.open import find_gguf

from .phone import SAYS, TALK, Phone
from .site import Site

pytestmark = pytest.mark.phone


# Downloads


def test_a_killed_download_goes_on_where_it_broke_off(phone, site, parrot_app):
    site.cut["model/0002.bin"] = 20_000
    app = phone()
    app.page.goto(site.url)
    words = app.trouble()
    assert "내려받지 못했습니다" in words
    assert "0.1 / 0.3 MB" in words
    site.asked.clear()
    site.cut.clear()
    app.again()
    app.wait()
    parts = [name for name in site.asked if name.startswith("model/")]
    assert parts == ["model/0002.bin", "model/0003.bin", "model/0004.bin"]
    assert SAYS in app.say("안녕")


def test_parts_that_came_survive_closing_the_page(phone, site):
    site.cut["model/0003.bin"] = 0
    app = phone()
    app.page.goto(site.url)
    app.trouble()
    site.asked.clear()
    site.cut.clear()
    app.open()
    assert [name for name in site.asked if name.startswith("model/")] == ["model/0003.bin", "model/0004.bin"]


def test_a_damaged_part_is_refused_and_fetched_again(phone, site):
    site.flip.add("model/0001.bin")
    app = phone()
    app.page.goto(site.url)
    words = app.trouble()
    assert "손상" in words
    assert "model/0001.bin" in words
    site.flip.clear()
    app.again()
    app.wait()
    assert SAYS in app.say("안녕")


def test_a_part_that_rots_on_the_device_is_fetched_again(phone, site):
    app = phone()
    app.open()
    app.page.evaluate("""async () => {
      const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('dotori-model');
      for await (const handle of folder.values()) {
        const writer = await handle.createWritable({ keepExistingData: true });
        await writer.write({ type: 'write', position: 5, data: new Uint8Array([1, 2, 3]) });
        await writer.close();
        return;
      }
    }""")
    site.asked.clear()
    app.open()
    assert len([name for name in site.asked if name.startswith("model/")]) == 1
    assert SAYS in app.say("안녕")


def test_a_first_start_without_a_network_says_so(phone, site):
    app = phone()
    app.open()
    app.page.evaluate(
        "async () => (await navigator.storage.getDirectory()).removeEntry('dotori-model', {recursive: true})"
    )
    app.context.set_offline(True)
    app.page.reload()
    assert "네트워크도 없습니다" in app.trouble()
    app.context.set_offline(False)
    app.again()
    app.wait()


def test_a_full_quota_ends_in_one_clear_message_and_a_way_on(phone, site):
    app = phone()
    cdp = app.context.new_cdp_session(app.page)
    cdp.send("Storage.overrideQuotaForOrigin", {"origin": site.url.rstrip("/"), "quotaSize": 40_000})
    app.page.goto(site.url)
    words = app.trouble()
    assert "저장 공간이 모자랍니다" in words
    assert "공간을 비우고" in words
    cdp.send("Storage.overrideQuotaForOrigin", {"origin": site.url.rstrip("/")})
    app.again()
    app.wait()
    assert SAYS in app.say("안녕")
    app.page.click("#open-settings")
    assert "오프라인으로 열림\n예" in app.page.inner_text("#device-sheet")


def test_a_quota_that_fills_up_on_the_way_keeps_what_came(phone, site):
    # The browser's own estimate promises room that is not there.
    promise = "navigator.storage.estimate = async () => ({ quota: 1e12, usage: 0 });"
    app = phone(init=promise)
    cdp = app.context.new_cdp_session(app.page)
    app.page.goto(site.url + "README.md")
    cdp.send("Storage.overrideQuotaForOrigin", {"origin": site.url.rstrip("/"), "quotaSize": 150_000})
    app.page.goto(site.url)
    words = app.trouble()
    assert "저장 공간" in words
    cdp.send("Storage.overrideQuotaForOrigin", {"origin": site.url.rstrip("/")})
    app.again()
    app.wait()


# The device


def test_too_little_memory_is_said_before_anything_is_fetched(phone, site):
    app = phone(init="Object.defineProperty(navigator, 'deviceMemory', { get: () => 0.25 });", language="en-US")
    app.page.goto(site.url)
    words = app.trouble()
    assert "too little free memory" in words
    assert "Trying again opens it anyway" in words
    assert not [name for name in site.asked if name.startswith("model/")]
    app.again()
    app.wait()
    assert SAYS in app.say("hello")


def test_a_browser_without_simd_is_told_what_to_do(phone, site):
    app = phone(init="WebAssembly.validate = () => false;", language="en-US")
    app.page.goto(site.url)
    assert "SIMD" in app.trouble()


def test_an_old_browser_gets_the_compatibility_engine(phone, site):
    app = phone(init="delete WebAssembly.Suspending;")
    app.open()
    assert SAYS in app.say("안녕")
    assert "vendor/wllama-compat.wasm" in site.asked
    site.stop()
    app.context.set_offline(True)
    app.page.reload()
    app.wait()
    assert SAYS in app.say("오프라인")
    site.start()


def test_without_the_compatibility_engine_an_old_browser_gets_words(phone, parrot, packages, tmp_path):
    some = {key: path for key, path in packages.items() if key != "wllama-compat"}
    export_web(WebSettings(name="앵무새"), parrot, some, tmp_path / "app", RunLog(quiet=True))
    site = Site(tmp_path / "app")
    try:
        app = phone(url=site.url, init="delete WebAssembly.Suspending;")
        app.page.goto(site.url)
        assert "호환용 엔진" in app.trouble()
    finally:
        site.stop()


def test_a_browser_that_pages_cannot_write_files_in_uses_its_cache(phone, site):
    app = phone(init="delete FileSystemFileHandle.prototype.createWritable;")
    app.open()
    assert "dotori-model" in app.page.evaluate("caches.keys()")
    site.stop()
    app.context.set_offline(True)
    app.page.reload()
    app.wait()
    assert SAYS in app.say("안녕")
    site.start()


def test_an_isolated_page_uses_threads(phone, parrot_app):
    headers = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
    site = Site(parrot_app, headers)
    try:
        app = phone(url=site.url, init="Object.defineProperty(navigator, 'hardwareConcurrency', { get: () => 4 });")
        app.open()
        assert app.page.evaluate("crossOriginIsolated") is True
        assert SAYS in app.say("안녕")
        app.page.click("#open-settings")
        assert "스레드 2개" in app.page.inner_text("#device-sheet")
    finally:
        site.stop()


@pytest.fixture
def broken_site(broken_parrot, packages, tmp_path):
    export_web(WebSettings(name="고장"), broken_parrot, packages, tmp_path / "broken", RunLog(quiet=True))
    site = Site(tmp_path / "broken")
    yield site
    site.stop()


def test_a_model_that_writes_no_text_cannot_kill_the_engine(phone, broken_site):
    app = phone(url=broken_site.url)
    app.open("고장")
    for _ in range(2):
        words = app.say("안녕")
        assert "엔진" not in words
        assert "\ufffd" not in words


def test_an_engine_that_dies_is_started_anew(phone, broken_site):
    page = phone(url=broken_site.url).open("고장")
    messages = [{"role": "user", "content": "안녕"}]
    unguarded = {"temperature": 0, "max_tokens": 8, "grammar": ""}
    for _ in range(2):
        with pytest.raises(Exception, match="엔진이 멈춰 새로 시작합니다"):
            page.evaluate(TALK, [messages, unguarded])
    assert page.evaluate(TALK, [messages, {"temperature": 0, "max_tokens": 8}])["done"] is True


def test_the_app_package_runs_without_a_service_worker_or_a_store(browser, parrot, packages, tmp_path):
    """What the APK holds, served as its WebView client does: every file from the app, no service worker."""
    file = find_gguf(parrot)
    write_app(WebSettings(name="앵무새"), file, packages, tmp_path / "app", bundled=True)
    site = Site(tmp_path / "app")
    app = Phone(browser, site.url, service_workers="block")
    try:
        page = app.open()
        assert SAYS in app.say("안녕")
        page.click("#open-settings")
        assert "실제 기기에서 시험하지 않음" in page.inner_text("#device-sheet")
        assert "sw.js" not in site.asked
        page.reload()
        app.wait()
        assert SAYS in app.say("다시")
        assert app.errors == []
    finally:
        app.context.close()
        site.stop()


# Keeping and erasing


def test_a_new_version_takes_over_when_the_app_is_opened_again(phone, parrot, packages, tmp_path):
    folder = tmp_path / "app"
    export_web(WebSettings(name="첫째"), parrot, packages, folder, RunLog(quiet=True))
    site = Site(folder)
    try:
        app = phone(url=site.url)
        app.open("첫째")
        export_web(WebSettings(name="둘째"), parrot, packages, folder, RunLog(quiet=True))
        page = app.page
        page.reload()
        app.wait("첫째")  # whole and old until the new one is whole too
        page.evaluate("""async () => {
          const registration = await navigator.serviceWorker.ready;
          await registration.update();
          while (!registration.waiting) await new Promise((resolve) => setTimeout(resolve, 50));
        }""")
        page.goto("about:blank")
        page.wait_for_timeout(500)
        app.open("둘째")
        names = [name for name in page.evaluate("caches.keys()") if name.startswith("dotori-shell-")]
        assert len(names) == 1
    finally:
        site.stop()


def test_a_shell_with_an_altered_file_is_not_kept(phone, parrot_app, tmp_path):
    shutil.copytree(parrot_app, tmp_path / "app")
    altered = tmp_path / "app" / "js" / "modes.js"
    altered.write_text(altered.read_text(encoding="utf-8") + "// altered\n", encoding="utf-8")
    site = Site(tmp_path / "app")
    try:
        app = phone(url=site.url)
        app.open()  # opens from the network, and says that it will not open without one
        app.page.click("#open-settings")
        assert "오프라인으로 열림\n아니오" in app.page.inner_text("#device-sheet")
        assert app.page.evaluate("navigator.serviceWorker.controller") is None
    finally:
        site.stop()


def test_erasing_everything_leaves_only_the_app(phone, site):
    app = phone()
    page = app.open()
    app.say("비밀 이야기")
    page.click("#open-settings")
    page.click("#settings-body .button-danger")
    page.click("dialog .button-danger")
    assert "내려받을까요" in app.trouble()  # nothing comes back unasked
    site.stop()
    app.context.set_offline(True)
    page.reload()
    app.trouble()
    app.again()
    page.wait_for_selector("dialog.prepare:has-text('모델이 아직')")
    left = page.evaluate("""async () => {
      const names = [];
      const root = await navigator.storage.getDirectory();
      for await (const folder of root.values()) for await (const name of folder.keys()) names.push(name);
      return [names.length, (await caches.keys()).filter((name) => !name.startsWith('dotori-shell-')).length];
    }""")
    assert left == [0, 0]
    assert "비밀" not in page.content()
    site.start()


def test_the_sheet_measures_and_reports(phone):
    page = phone().open()
    run = page.evaluate("""async () => {
      const { createEngine } = await import(new URL('js/engine-wllama.js', document.baseURI));
      const { report } = await import(new URL('js/phone/sheet.js', document.baseURI));
      const engine = createEngine(await (await fetch('config.json')).json());
      await engine.prepare(() => undefined);
      await engine.measure.run(2, () => undefined);
      return report(engine);
    }""")
    assert run["runs"]["2"]["tokens"] > 20
    assert run["runs"]["2"]["seconds"] >= 2
    assert run["runs"]["2"]["firstTokenMs"] > 0
    assert run["model"]["bytes"] > 0
    assert run["engine"]["build"] == "default"
