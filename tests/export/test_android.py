"""The APK: signed, aligned, without permissions, holding exactly the app; skipped where Debian's tools are missing."""

import json
import os
import re
import shutil
import subprocess
import zipfile

import pytest

from dotori.checkpoint.lineage import check_files, read_lineage
from dotori.cli.main import main
from dotori.errors import ProofError, UserError
from dotori.export import android
from dotori.export.android import AndroidSettings, export_android, manifest, missing_tools, smali_sources
from dotori.export.web import WebSettings
from dotori.runlog import RunLog

QUIET = RunLog(quiet=True)
needs_tools = pytest.mark.skipif(
    bool(missing_tools()), reason=f"tools are missing: apt-get install {' '.join(missing_tools())}"
)


def settings(**changes):
    return AndroidSettings(app=WebSettings(part_bytes=65536, name="앵무새 & <씨앗>"), **changes)


@pytest.fixture(scope="module")
def out(parrot, tmp_path_factory):
    folder = tmp_path_factory.mktemp("android")
    before = os.environ.get("XDG_DATA_HOME")
    os.environ["XDG_DATA_HOME"] = str(folder / "data")
    try:
        export_android(settings(), parrot, {}, folder / "out", QUIET)
    finally:
        del os.environ["XDG_DATA_HOME"]
        if before is not None:
            os.environ["XDG_DATA_HOME"] = before
    return folder / "out"


def tool(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@needs_tools
def test_the_folder_is_whole_and_proved(out):
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "dotori.apk", "lineage.json"]
    lineage = read_lineage(out)
    assert check_files(out, lineage.files) == []
    assert all(proof.passed for proof in lineage.proofs)
    assert {"web model", "apk files", "apk package", "apk permissions"} <= {proof.name for proof in lineage.proofs}
    assert list(out.parent.glob(".apk-*")) == []


@needs_tools
def test_it_is_signed_and_aligned(out):
    words = tool("apksigner", "verify", "--verbose", str(out / "dotori.apk"))
    assert "Verified using v2 scheme (APK Signature Scheme v2): true" in words
    tool("zipalign", "-c", "-p", "4", str(out / "dotori.apk"))


@needs_tools
def test_it_says_what_it_is(out):
    words = tool("aapt", "dump", "badging", str(out / "dotori.apk"))
    assert "name='org.dotori.app'" in words
    assert "sdkVersion:'26'" in words
    assert "application-label:'앵무새 & <씨앗>'" in words
    assert "launchable-activity: name='org.dotori.phone.MainActivity'" in words
    assert "uses-permission" not in words
    assert "-untested'" in words
    assert "Untested on hardware" in (out / "README.md").read_text(encoding="utf-8")


@needs_tools
def test_it_holds_the_app_and_the_model_uncompressed(out, parrot):
    with zipfile.ZipFile(out / "dotori.apk") as apk:
        config = json.loads(apk.read("assets/app/config.json"))
        parts = [apk.getinfo(f"assets/app/{part['path']}") for part in config["model"]["parts"]]
        assert config["bundled"] is True
        assert {part.compress_type for part in parts} == {zipfile.ZIP_STORED}
        assert b"".join(apk.read(part) for part in parts) == (parrot / "model-Q8_0.gguf").read_bytes()
        assert "assets/app/index.html" in apk.namelist()
        assert "assets/app/sw.js" not in apk.namelist()
        assert apk.read("classes.dex")[:4] == b"dex\n"


@needs_tools
def test_an_altered_apk_fails_its_proofs(out, tmp_path):
    shutil.copyfile(out / "dotori.apk", tmp_path / "a.apk")
    data = bytearray((tmp_path / "a.apk").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "a.apk").write_bytes(data)
    with pytest.raises(ProofError, match="apksigner verify"):
        android.apk_proofs(tmp_path / "a.apk", tmp_path, settings())


@needs_tools
def test_a_failing_tool_leaves_nothing_behind(parrot, tmp_path):
    (tmp_path / "key.p12").write_bytes(b"no key")
    with pytest.raises(ProofError, match="apksigner sign") as caught:
        export_android(settings(key=str(tmp_path / "key.p12")), parrot, {}, tmp_path / "out", QUIET)
    assert "Failed to load signer" in str(caught.value)
    assert ".java:" not in str(caught.value)
    with pytest.raises(UserError, match="none: no such file; a PKCS12 key"):
        export_android(settings(key="none"), parrot, {}, tmp_path / "out", QUIET)
    assert [path.name for path in tmp_path.iterdir()] == ["key.p12"]


@needs_tools
def test_a_key_is_found_from_where_the_command_is_given(out, parrot, tmp_path, monkeypatch):
    shutil.copyfile(out.parent / "data" / "dotori" / "android-debug.p12", tmp_path / "key.p12")
    monkeypatch.chdir(tmp_path)
    export_android(settings(key="key.p12"), parrot, {}, tmp_path / "out", QUIET)
    assert (tmp_path / "out" / "dotori.apk").is_file()


@needs_tools
@pytest.mark.parametrize("package", ["", "app", "Org.App", "org..app", "org.app;rm", "../x.y"])
def test_a_package_name_that_is_none_is_refused(parrot, tmp_path, package):
    with pytest.raises(UserError, match="package"):
        export_android(settings(package=package), parrot, {}, tmp_path / "out", QUIET)


def test_missing_tools_are_named_with_their_packages(parrot, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="apt-get install aapt zipalign apksigner smali default-jre-headless"):
        export_android(settings(), parrot, {}, tmp_path / "out", QUIET)
    assert main(["export", "android", str(parrot), "--out", str(tmp_path / "out")]) == 65
    assert capsys.readouterr().err.startswith("dotori: ")
    assert not (tmp_path / "out").exists()


def test_names_cannot_break_out_of_the_manifest():
    config = {"name": '@string/x" android:debuggable="false', "model": {"sha256": "0" * 64}}
    text = manifest(settings(), config)
    assert """android:label='string/x" android:debuggable="false'""" in text
    assert re.search(r"\{\w+\}", text) is None


def test_every_suffix_of_the_app_has_a_content_type():
    text = smali_sources()["AppClient"]
    for suffix, kind in android.TYPES.items():
        assert f'"{suffix}"' in text
        assert f'"{kind}"' in text
    assert text.count(".method") == text.count(".end method")
