"""Settings: every wrong key and value ends in one message that names it and the nearest right one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotori.config import build, interpolate, nearest, override, parse_duration, parse_size, read_toml, settings
from dotori.errors import UserError


@settings
class Inner:
    lr: float = 0.01


@settings
class Outer:
    steps: int
    inner: Inner = Inner()


def test_unknown_keys_name_the_nearest_at_every_depth():
    with pytest.raises(UserError, match="did you mean 'steps'"):
        build(Outer, {"step": 3, "steps": 3}, "r.toml [train]")
    with pytest.raises(UserError, match="did you mean 'lr'"):
        build(Outer, {"steps": 3, "inner": {"lrr": 1.0}}, "r.toml [train]")


def test_missing_and_wrong_values_name_key_and_value():
    with pytest.raises(UserError, match="'steps' is missing"):
        build(Outer, {}, "r.toml [train]")
    with pytest.raises(UserError, match="steps got 'many'"):
        build(Outer, {"steps": "many"}, "r.toml [train]")


def test_override_reads_toml_values_and_bare_words():
    mapping = {"train": {"lr": 0.1}, "data": {}}
    result = override(mapping, ["train.lr=3e-3", "data.root=/some/where", "train.a.b=[1, 2]"])
    assert result == {"train": {"lr": 3e-3, "a": {"b": [1, 2]}}, "data": {"root": "/some/where"}}
    assert mapping == {"train": {"lr": 0.1}, "data": {}}


@pytest.mark.parametrize("assignment", ["lr", "=3", "trian.lr=3", "train.lr.x=3", ".=1"])
def test_bad_overrides_are_refused(assignment):
    with pytest.raises(UserError):
        override({"train": {"lr": 0.1}}, [assignment])


def test_interpolation_and_its_errors():
    assert interpolate({"data": {"root": "/d"}, "t": {"paths": ["${data.root}/a"]}}, "r")["t"]["paths"] == ["/d/a"]
    with pytest.raises(UserError, match=r"data\.rot"):
        interpolate({"data": {"root": "/d"}, "t": "${data.rot}"}, "r")


def test_files_that_are_no_toml(tmp_path):
    (tmp_path / "bad.toml").write_text("a = \n")
    (tmp_path / "bin.toml").write_bytes(b"\xff\xfe")
    for name in ("bad.toml", "bin.toml", "none.toml", "."):
        with pytest.raises(UserError):
            read_toml(tmp_path / name)


def test_a_byte_order_mark_is_no_problem(tmp_path):
    (tmp_path / "r.toml").write_bytes(b"\xef\xbb\xbfa = 1\n")
    assert read_toml(tmp_path / "r.toml") == {"a": 1}


def test_durations_and_sizes():
    assert parse_duration("9m") == 540
    assert parse_duration("1.5h") == 5400
    assert parse_size("1MB") == 10**6
    assert parse_size("1.5 MiB") == 3 << 19
    for text in ("9", "m", "9 minutes", "-3m"):
        with pytest.raises(UserError):
            parse_duration(text)
    for text in ("9", "MB", "1mb", "-3MB"):
        with pytest.raises(UserError):
            parse_size(text)


@given(st.text(max_size=20), st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5))
def test_nearest_always_names_a_known_name(name, known):
    assert any(k in nearest(name, known) or repr(k) in nearest(name, known) for k in known)
