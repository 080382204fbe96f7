"""`dotori verify`: every hash of a folder, and every proof that its files are enough to make again.

A model, tokenizer, export or evaluation folder carries lineage.json, a dataset folder manifest.json, a run folder
stages.json, a tunnel folder its chapters and runs. Folders that a proof needs besides (the model that a file was made
from) are looked for beside the folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from dotori.adapt.sft import inspect_mask
from dotori.checkpoint.folder import read_model
from dotori.checkpoint.gguf import read_gguf
from dotori.checkpoint.lineage import FILE, Lineage, Proof, at_most, check_files, folder_hash, read_lineage
from dotori.data.loader import Loader, read_manifest
from dotori.data.mix import Phase
from dotori.data.shards import Stream
from dotori.errors import UserError
from dotori.evaluate.stage import batch_proof
from dotori.export import executorch, onnx
from dotori.export.gguf import logits_proof, tokenizer_proof
from dotori.export.mobile import MissingExtra, settle
from dotori.files import read_json, sha256_file, sha256_json
from dotori.recipe.records import content
from dotori.runtime.open import find_gguf, open_model
from dotori.tokenizer.fertility import round_trip_failures
from dotori.tokenizer.load import load_tokenizer
from dotori.train.objective import Batch
from dotori.train.proofs import packed_difference
from dotori.tunnel.prove import is_tunnel, prove

_PACKED_ROWS = 16


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `status` is ok, failed, or recorded: nothing here can make it again."""

    folder: str
    name: str
    status: str
    detail: str

    def json(self) -> dict[str, str]:
        """The check as a JSON object."""
        return asdict(self)


def verify(path: Path) -> list[Check]:
    """All checks of a folder, or of the folder of a .gguf file; raises UserError for what no stage has made."""
    folder = path.parent if path.is_file() and path.suffix == ".gguf" else path
    if not folder.is_dir():
        raise UserError(f"{path}: no such folder; a folder made by a stage or a run is needed; check the path")
    if is_tunnel(folder):
        return [*_run(folder), *_tunnel(folder)]
    if (folder / "stages.json").is_file():
        return list(_run(folder))
    if not ((folder / FILE).is_file() or (folder / "manifest.json").is_file()):
        raise UserError(
            f"{folder}: neither {FILE} nor manifest.json; a folder made by a stage is needed; check the path"
        )
    return list(_folder(folder))


def _tunnel(folder: Path) -> Iterator[Check]:
    for found in prove(folder):
        yield Check(folder.name, found.name, "ok" if found.holds else "failed", found.detail)


def _run(folder: Path) -> Iterator[Check]:
    if not (folder / "stages.json").is_file():
        return
    for name, record in read_json(folder / "stages.json", "run folder").items():
        place = folder / name
        if not record.get("output"):
            yield Check(name, "stage", "recorded", "not finished")
        elif not place.is_dir():
            yield Check(name, "stage", "failed", "its folder is gone")
        else:
            same = content(place, sha256_file) == record["output"]
            yield Check(name, "contents", *_verdict(same, "as stages.json says", "differ from what stages.json says"))
            if (place / FILE).is_file() or (place / "manifest.json").is_file():
                yield from _folder(place)


def _folder(folder: Path) -> Iterator[Check]:
    if (folder / "manifest.json").is_file():
        yield from _dataset(folder)
    if not (folder / FILE).is_file():
        return
    try:
        lineage = read_lineage(folder)
    except UserError as error:
        yield Check(folder.name, FILE, "failed", str(error))
        return
    yield Check(folder.name, FILE, "ok", "its own hash agrees")
    problems = check_files(folder, lineage.files)
    yield Check(
        folder.name, "files", *_verdict(not problems, f"{len(lineage.files)} hashes agree", "; ".join(problems))
    )
    for proof in lineage.proofs:
        yield _proof(folder, lineage, proof)


def _dataset(folder: Path) -> Iterator[Check]:
    manifest = read_manifest(folder)
    own = manifest.pop("sha256", None) == sha256_json(manifest)
    yield Check(folder.name, "manifest.json", *_verdict(own, "its own hash agrees", "altered since it was written"))
    hashes = manifest.get("files", {}) | {"manifest.json": sha256_file(folder / "manifest.json")}
    problems = check_files(folder, hashes)
    yield Check(folder.name, "files", *_verdict(not problems, f"{len(hashes)} hashes agree", "; ".join(problems)))
    try:
        wrong = list(_miscounted(folder, manifest))
    except (UserError, KeyError, TypeError) as error:
        wrong = [f"not countable ({error})"]
    yield Check(folder.name, "counts", *_verdict(not wrong, "documents, tokens and bytes recounted", "; ".join(wrong)))


def _miscounted(folder: Path, manifest: dict[str, Any]) -> Iterator[str]:
    for domain, entry in manifest["domains"].items():
        for split, part in entry["splits"].items():
            bases = [folder / domain / name for name in part["shards"]]
            stream = Stream(bases, manifest["vocab_size"], entry["format"] == "chat")
            found = {"documents": stream.documents, "tokens": stream.tokens, "bytes": int(stream.document_bytes.sum())}
            for key, value in found.items():
                if part[key] != value:
                    yield f"{domain}/{split}: {part[key]} {key} in the manifest, {value} in the files"


def _verdict(holds: bool, good: str, bad: str) -> tuple[str, str]:
    return ("ok", good) if holds else ("failed", bad)


def _proof(folder: Path, lineage: Lineage, proof: Proof) -> Check:
    name = f"proof: {proof.name}"
    if not proof.passed:
        return Check(folder.name, name, "failed", f"recorded as failed: {proof.value}")
    again = PROOFS.get(proof.name.partition(",")[0])
    if again is None:
        return Check(folder.name, name, "recorded", f"{proof.value} (limit {proof.threshold}): {proof.how}")
    try:
        made = again(folder, lineage, proof)
    except MissingExtra as error:
        return Check(folder.name, name, "recorded", f"{proof.value}; not made again: {error}")
    except UserError as error:
        return Check(folder.name, name, "failed", str(error))
    if made is None:
        return Check(folder.name, name, "recorded", f"{proof.value}; the folder it was compared with is not beside it")
    if isinstance(proof.value, str):
        holds = made.passed and made.value == proof.value
    else:
        holds = made.passed and made.threshold == proof.threshold
    return Check(
        folder.name, name, *_verdict(holds, f"{made.value} again", f"{proof.value} recorded, now {made.value}")
    )


def _beside(folder: Path, wanted: str | None) -> Path | None:
    """The folder next to this one whose hash is `wanted`."""
    for place in sorted(folder.absolute().parent.iterdir()):
        made = (place / FILE).is_file() or (place / "manifest.json").is_file()
        if made and folder_hash(place) == wanted:
            return place
    return None


def _round_trip(folder: Path, lineage: Lineage, proof: Proof) -> Proof:
    failures = len(round_trip_failures(load_tokenizer(folder)))
    return Proof(proof.name, failures, 0, failures == 0, proof.how)


def _gguf_logits(folder: Path, lineage: Lineage, proof: Proof) -> Proof | None:
    model, file = _beside(folder, lineage.parents.get("model")), find_gguf(folder)
    if model is None or file is None:
        return None
    return logits_proof(read_model(model)[0], read_gguf(file), str(lineage.settings["type"]))


def _gguf_tokenizer(folder: Path, lineage: Lineage, proof: Proof) -> Proof | None:
    model, file = _beside(folder, lineage.parents.get("model")), find_gguf(folder)
    if model is None or file is None:
        return None
    return tokenizer_proof(load_tokenizer(model), read_gguf(file).tokenizer)


def _by_engine(
    prove_again: Callable[[Path, Lineage, Path], tuple[Proof, ...]],
) -> Callable[[Path, Lineage, Proof], Proof | None]:
    def again(folder: Path, lineage: Lineage, proof: Proof) -> Proof | None:
        model = _beside(folder, lineage.parents.get("model"))
        if model is None:
            return None
        made = {found.name: found for found in prove_again(folder, lineage, model)}
        if proof.name not in made:
            raise UserError(f"{folder}: proof {proof.name!r}; it does not belong to this export; make the folder anew")
        return settle(made[proof.name], proof)

    return again


def _batch(folder: Path, lineage: Lineage, proof: Proof) -> Proof | None:
    name = proof.name.partition(", ")[2]
    model = _beside(folder, lineage.parents.get(name))
    if model is None:
        return None
    rows = read_json(folder / "evaluation.json", "evaluation folder")["models"]
    story = next((row["storyworld"] for row in rows if row["name"] == name), None) or {}
    asked = [*lineage.settings.get("prompts", ()), *(example["prompt"] for example in story.get("examples", []))]
    return batch_proof(name, open_model(model), asked[:16])


def _dataset_of(folder: Path, lineage: Lineage) -> Path | None:
    return _beside(folder, lineage.data.get("dataset"))


def _packed(folder: Path, lineage: Lineage, proof: Proof) -> Proof | None:
    data = _dataset_of(folder, lineage)
    if data is None:
        return None
    phases = [Phase(**phase) for phase in lineage.metrics["sample_phases"]]
    rows = Loader(data, lineage.settings["context"], lineage.seed or 0, phases).rows(0, _PACKED_ROWS)
    batch = Batch(*(torch.from_numpy(array) for array in rows))
    value = packed_difference(read_model(folder)[0], batch)
    return at_most(proof.name, value, float(proof.threshold or 0), proof.how)


def _loss_mask(folder: Path, lineage: Lineage, proof: Proof) -> Proof | None:
    data = _dataset_of(folder, lineage)
    if data is None:
        return None
    share = inspect_mask(data, lineage.settings["context"], load_tokenizer(folder)).total_share
    return Proof(proof.name, share, proof.threshold, share == proof.value, proof.how)


# Proof name, up to a comma -> how to make it again from the folder, its lineage and the folders beside it.
PROOFS: dict[str, Callable[[Path, Lineage, Proof], Proof | None]] = {
    "round_trip": _round_trip,
    "packed = alone": _packed,
    "loss mask": _loss_mask,
    "gguf logits": _gguf_logits,
    "gguf tokenizer": _gguf_tokenizer,
    "batch equals solo": _batch,
    **{f"executorch {part}": _by_engine(executorch.prove_again) for part in ("logits", "greedy", "cache", "tokenizer")},
    **{
        f"onnx {part}": _by_engine(onnx.prove_again)
        for part in ("logits", "greedy", "divergence", "cache", "tokenizer", "chat")
    },
}
