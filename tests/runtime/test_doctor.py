"""The doctor's figures are plausible, its profile can be read again, and what cannot be measured is said."""

from pathlib import Path

import pytest

from dotori.device import load_profile, profile_toml
from dotori.errors import UserError
from dotori.runlog import RunLog
from dotori.runtime.doctor import examine, storage_bandwidth


def test_a_profile_goes_into_a_file_and_back(tmp_path: Path):
    with RunLog(quiet=True) as log:
        profile = examine(1, None, log)
    assert profile.threads == 1
    assert profile.memory_bytes_per_second is not None
    assert 1e8 < profile.memory_bytes_per_second < 1e13
    assert profile.int8_ops_per_second is not None
    assert 1e8 < profile.int8_ops_per_second < 1e15
    assert profile.storage_bytes_per_second is None
    (tmp_path / "here.toml").write_text(profile_toml(profile))
    again = load_profile(tmp_path / "here.toml")
    assert (again.name, again.isa, again.memory_bytes) == (profile.name, profile.isa, profile.memory_bytes)
    assert again.memory_bytes_per_second == pytest.approx(profile.memory_bytes_per_second, rel=0.01)


def test_storage_is_read_and_left_as_it_was(tmp_path: Path):
    found = storage_bandwidth(tmp_path, seconds=0.1)
    assert found is None or found > 1e5
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with RunLog(quiet=True) as log, pytest.raises(UserError, match=r"storage: .*nothing; a folder"):
        examine(1, tmp_path / "nothing", log)
