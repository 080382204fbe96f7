import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dotori.checkpoint.folder import write_model
from dotori.checkpoint.gguf import write_gguf
from dotori.checkpoint.lineage import Lineage
from dotori.errors import UserError
from dotori.runtime.open import find_gguf, open_model
from dotori.runtime.torch_session import TorchSession


@pytest.fixture(scope="module")
def folder(session: TorchSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "model"
    write_model(out, session.model, session.tokenizer, Lineage(stage="test", settings={"a": 1}))
    return out


@pytest.fixture(scope="module")
def export(session: TorchSession, folder: Path) -> Path:
    out = folder.parent / "export"
    out.mkdir()
    state = {name: parameter.detach() for name, parameter in session.model.named_parameters()}
    write_gguf(out / "model-F32.gguf", session.config, state, session.tokenizer, "F32", {"dotori.note": "x"})
    shutil.copy(folder / "lineage.json", out)
    return out


def test_folder_export_and_file_are_one_model(session: TorchSession, folder: Path, export: Path):
    ids = session.tokenize("다람쥐가 도토리를 숨깁니다.")
    text = list(session.generate(ids, max_tokens=8))
    for path in (folder, str(folder), export, export / "model-F32.gguf"):
        opened = open_model(path)
        assert opened.tokenize("다람쥐가 도토리를 숨깁니다.") == ids
        assert list(opened.generate(ids, max_tokens=8)) == text
        # The native core keeps keys and values in float16.
        tolerance = 1e-4 if isinstance(opened, TorchSession) else 1e-2
        np.testing.assert_allclose(opened.logits(ids), session.logits(ids), atol=tolerance)
        assert (opened.context, opened.bos_id, opened.eos_id, opened.stop_ids) == (64, 0, 2, [0, 2])
        assert opened.chat([{"role": "user", "content": "a"}]) == session.chat([{"role": "user", "content": "a"}])
        assert opened.lineage is not None
        assert opened.lineage["settings"] == {"a": 1}
    assert open_model(export).metadata["dotori.note"] == "x"


def test_threads_and_memory(folder: Path):
    before = torch.get_num_threads()
    try:
        open_model(folder, threads=1, memory="1MB")
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    with pytest.raises(UserError, match=r"memory: 0\.0 MB allowed, weights take"):
        open_model(folder, memory=1000)
    with pytest.raises(UserError, match="size: 'much'"):
        open_model(folder, memory="much")
    for threads in (0, 1025):
        with pytest.raises(UserError, match=f"threads: {threads}; 1 to 1024"):
            open_model(folder, threads=threads)


def test_paths_without_one_model_are_named(folder: Path, export: Path, tmp_path: Path):
    with pytest.raises(UserError, match="no such file or folder"):
        open_model(tmp_path / "nothing")
    with pytest.raises(UserError, match="open one inside it: export, model"):
        open_model(folder.parent)
    with pytest.raises(UserError, match="check the path"):
        open_model(tmp_path)
    with pytest.raises(UserError, match=r"a \.json file"):
        open_model(folder / "config.json")
    for name in ("model-Q4_0.gguf", "model-Q8_0.gguf"):
        shutil.copy(export / "model-F32.gguf", tmp_path / name)
    with pytest.raises(UserError, match=r"model-Q4_0\.gguf, model-Q8_0\.gguf; name the one"):
        open_model(tmp_path)
    assert find_gguf(tmp_path / "model-Q4_0.gguf") == tmp_path / "model-Q4_0.gguf"
    (tmp_path / "broken.gguf").write_bytes(b"GGUF\x03")
    with pytest.raises(UserError, match="broken"):
        open_model(tmp_path / "broken.gguf")


def test_a_folder_without_tokenizer_is_named(folder: Path, tmp_path: Path):
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"holds no tokenizer\.json"):
        open_model(tmp_path / "model")
