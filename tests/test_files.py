"""Atomic files and folders: whole or absent, whatever interrupts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dotori.errors import DiskError, UserError
from dotori.files import atomic_folder, atomic_write, check_place, read_json, remove_stale, sha256_json


def test_a_failed_folder_leaves_the_old_one_and_no_temporary(tmp_path):
    target = tmp_path / "model"
    with atomic_folder(target) as folder:
        (folder / "a").write_text("one")
        (folder / "lineage.json").write_text("{}")
    with pytest.raises(RuntimeError), atomic_folder(target) as folder:
        (folder / "a").write_text("two")
        raise RuntimeError("interrupted")
    assert (target / "a").read_text() == "one"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_finished_folder_replaces_the_old_one_whole(tmp_path):
    target = tmp_path / "model"
    for name in ("a", "b"):
        with atomic_folder(target) as folder:
            (folder / name).write_text(name)
            (folder / "lineage.json").write_text("{}")
    assert sorted(p.name for p in target.iterdir()) == ["b", "lineage.json"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_what_others_made_is_never_replaced(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_text("a picture")
    (tmp_path / "notes").write_text("a file")
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    (tmp_path / "empty").mkdir()
    for name in ("photos", "notes", "link"):
        with pytest.raises(UserError, match=f"{name}: .*choose another --out"), atomic_folder(tmp_path / name):
            raise AssertionError("the work began")
    with atomic_folder(tmp_path / "empty") as folder:
        (folder / "a").write_text("one")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "empty", "link", "notes", "one.jpg", "photos"]


def test_a_place_may_be_asked_for_one_kind_alone(tmp_path):
    (tmp_path / "lineage.json").write_text("{}")
    (tmp_path / "model-Q4_0.gguf").write_text("")
    check_place(tmp_path / "nothing", ("sw.js",))
    check_place(tmp_path, ("model-*.gguf",))
    with pytest.raises(UserError, match=r"holds lineage\.json, model-Q4_0\.gguf; only"):
        check_place(tmp_path, ("sw.js",))


def test_a_failed_folder_takes_the_folders_above_it_along(tmp_path):
    (tmp_path / "kept").mkdir()
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "kept" / "new" / "deep" / "model"):
        raise RuntimeError("interrupted")
    assert [p.name for p in tmp_path.rglob("*")] == ["kept"]


def test_leftovers_of_dead_writers_are_removed_and_of_living_ones_kept(tmp_path):
    dead, alive = tmp_path / ".model.tmp-999999999", tmp_path / f".model.tmp-{os.getppid()}"
    dead.mkdir(), alive.mkdir()
    remove_stale(tmp_path / "model")
    assert not dead.exists()
    assert alive.exists()


def test_a_crash_between_the_two_renames_brings_the_old_folder_back(tmp_path):
    old = tmp_path / ".model.old-999999999"
    old.mkdir()
    (old / "a").write_text("one")
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "model"):
        raise RuntimeError
    assert (tmp_path / "model" / "a").read_text() == "one"


def test_a_full_disk_is_one_error_that_names_path_and_space(tmp_path):
    script = (
        "import resource, sys; from pathlib import Path; import signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from dotori.files import atomic_write; from dotori.errors import DiskError\n"
        "path = Path(sys.argv[1]) / 'file'\n"
        "try: atomic_write(path, b'x' * 5000)\n"
        "except DiskError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert str(tmp_path / "file") in done.stdout
    assert "MB free" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_writing_below_a_file_says_what_is_wrong(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises((DiskError, UserError)):
        atomic_write(tmp_path / "file" / "below", "text")


@pytest.mark.parametrize(("content", "word"), [(b"{", "not valid JSON"), (b"[]", "list"), (b"\xff", "not valid JSON")])
def test_broken_json_names_the_file(tmp_path, content, word):
    path: Path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=word) as caught:
        read_json(path, "model folder")
    assert str(path) in str(caught.value)


def test_missing_and_directory_json_are_user_errors(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UserError):
            read_json(path, "model folder")


def test_json_hash_ignores_key_order():
    assert sha256_json({"a": 1, "b": "가"}) == sha256_json({"b": "가", "a": 1})
