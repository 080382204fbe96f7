"""A made-up run folder for the tests of the report."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture
def run_folder(tmp_path) -> Path:
    spec = importlib.util.spec_from_file_location("made_up_run", Path(__file__).with_name("made_up_run.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write_run(tmp_path / "run")
    return tmp_path / "run"
