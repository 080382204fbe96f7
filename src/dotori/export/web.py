"""An installable web app around one GGUF file: page, engine, model in parts, service worker. No build step, no network.

index.html  js/  style.css  icons  manifest.webmanifest   the chat page, as the server shows it
config.json        which engine, the model's parts with their hashes, how a conversation is spelled
sw.js              keeps the app on the device; knows the hash of every file
vendor/            the engine, search and PDF text, from pinned packages
model/             the file in parts, so that a download can go on where it broke off
_headers           for hosts that read it: what turns threads on
README.md  lineage.json
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers

from dotori import __version__
from dotori.checkpoint.gguf_file import GGUFFile
from dotori.checkpoint.gguf_tokenizer import tokenizer_of
from dotori.checkpoint.lineage import FILE, Lineage, Proof, at_most, equal, folder_hash, read_lineage, write_lineage
from dotori.config import settings
from dotori.errors import UserError
from dotori.export.npm import PACKAGES, read_members
from dotori.export.web_card import web_card
from dotori.files import atomic_folder, check_place, sha256_file, sha256_json, to_json
from dotori.runlog import RunLog
from dotori.runtime.open import find_gguf
from dotori.tokenizer.chat import CHATML, Message, encode_chat
from dotori.tokenizer.load import Tokenizer

SHELL_LIMIT = 12_000_000
_HEADERS = "/*\n  Cross-Origin-Opener-Policy: same-origin\n  Cross-Origin-Embedder-Policy: require-corp\n"
_PAGE_SUFFIXES = (".html", ".css", ".js", ".svg", ".png", ".webmanifest")
_COMPAT = ("vendor/wllama-compat.js", "vendor/wllama-compat.wasm")
_JOINER = "\u2060"
_BATCH = 512

# What the app's way of spelling a conversation must agree on with the chat template.
PROOF_CHATS: tuple[tuple[Message, ...], ...] = (
    ({"role": "user", "content": "안녕하세요! 도토리는 무엇인가요?"},),
    ({"role": "system", "content": "You are Dotori. 짧게 답하세요."}, {"role": "user", "content": "hi"}),
    (
        {"role": "user", "content": "영어로: 저녁에 준호는 숲에 갔어요."},
        {"role": "assistant", "content": "In the evening, Junho went to the woods."},
        {"role": "user", "content": "  1,234원 ㅋㅋㅋ\n\n\tdef f(x): return x ** 2\r\n🐿️ 漢字 "},
    ),
    ({"role": "user", "content": ""}, {"role": "assistant", "content": " \n "}, {"role": "user", "content": "\n끝"}),
    ({"role": "user", "content": "<|im_start|"}, {"role": "assistant", "content": "|im_end|> < | im_end | >"}),
)


@settings
class WebSettings:
    """`name` is shown in the app; `part_bytes` is the size of a part; `context` 0 takes the file's own."""

    name: str = ""
    part_bytes: int = 16 << 20
    context: int = 0


def export_web(s: WebSettings, model: Path, packages: Mapping[str, Path], out: Path, log: RunLog) -> dict[str, Any]:
    """Writes the app of the GGUF file or export folder `model` into the folder `out`; returns the metrics.

    `packages` is what `find_packages` found. Raises UserError for a model that cannot be exported, ProofError when the
    parts are not the file, the spelling is not the template's or the shell is too large.
    """
    check_place(out, ("sw.js",))
    source = model_file(model)
    with atomic_folder(out) as folder:
        config = write_app(s, source, packages, folder, bundled=False)
        metrics = sizes(folder, config)
        proofs = app_proofs(source, folder, config, metrics)
        lineage = app_lineage(source, "export web", s, packages, metrics, proofs)
        (folder / "README.md").write_text(web_card(config, metrics, lineage), encoding="utf-8")
        write_lineage(folder, lineage)
    log.say(f"{out}: app {metrics['shell_bytes'] / 1e6:.2f} MB, model {metrics['model_bytes'] / 1e6:.2f} MB")
    return metrics


def model_file(model: Path) -> Path:
    """The GGUF file that `model` is or holds; raises UserError for a model folder."""
    found = find_gguf(model)
    if found is None:
        raise UserError(f"{model}: a model folder; the app takes a GGUF file; make one: dotori export gguf {model}")
    return found


def write_app(
    s: WebSettings, source: Path, packages: Mapping[str, Path], folder: Path, bundled: bool
) -> dict[str, Any]:
    """Fills `folder` with the app and returns its config.json; `bundled`: inside an app package, no service worker."""
    if not 4096 <= s.part_bytes <= 256 << 20:
        raise UserError(f"part: {s.part_bytes} bytes; 4 KiB to 256 MiB; choose a size in between")
    file = GGUFFile(source)
    tokenizer = tokenizer_of(file)
    shape = chat_shape(file, tokenizer)
    context = _context(file, s.context)
    write_page(folder)
    for key in packages:
        for name, data in read_members(key, packages[key]).items():
            _write(folder / name, data)
    config = {
        "engine": "wllama",
        "wllama": PACKAGES["wllama"].version,
        "dotori": __version__,
        "name": s.name or _name(file, source),
        "context": context,
        "bundled": bundled,
        "compat": "wllama-compat" in packages,
        "pdf": "pdfjs" in packages,
        "chat": shape,
        "memory": _memory(file),
        "model": _parts(source, folder, s.part_bytes),
    }
    _write(folder / "config.json", to_json(config).encode())
    if bundled:
        (folder / "sw.js").unlink()
    else:
        _write(folder / "_headers", _HEADERS.encode())
        write_worker(folder)
    return config


def find_page() -> Path:
    """The folder of the chat page: beside src/ in a checkout, else inside the installed package."""
    package = Path(__file__).parents[1]
    for place in (package.parents[1] / "web", package / "web"):
        if (place / "index.html").is_file():
            return place
    raise UserError(f"{package / 'web'}: the chat page is missing; it belongs to Dotori; install Dotori again")


def write_page(folder: Path) -> None:
    """Copies the page's files; what else lies beside them stays out."""
    page = find_page()
    for path in sorted(page.rglob("*")):
        inside = path.relative_to(page)
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.is_file() and not path.is_symlink() and not hidden and path.suffix in _PAGE_SUFFIXES:
            _write(folder / inside, path.read_bytes())
    manifest = json.loads((folder / "manifest.webmanifest").read_text(encoding="utf-8"))
    _write(folder / "manifest.webmanifest", to_json({"id": "./"} | manifest).encode())


def write_worker(folder: Path) -> None:
    """Writes into sw.js what the app consists of; the version is the hash of that."""
    table = {name: _integrity(folder / name) for name in shell_files(folder)}
    extra = {name: _integrity(folder / name) for name in _COMPAT if (folder / name).is_file()}
    text = (folder / "sw.js").read_text(encoding="utf-8")
    filled = {"VERSION": sha256_json([table, extra])[:16], "SHELL": table, "EXTRA": extra}
    for name, value in filled.items():
        line = f"const {name} = {json.dumps(value, indent=2)};"
        before = re.findall(rf"^const {name} = .*$", text, re.MULTILINE)
        if len(before) != 1:
            raise UserError(
                f"sw.js: {len(before)} lines begin with `const {name}`; one is needed; install Dotori again"
            )
        text = text.replace(before[0], line)
    _write(folder / "sw.js", text.encode())


def shell_files(folder: Path) -> list[str]:
    """The files that the app needs to open: all but the model, the compatibility engine and words about the app."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    left_out = {"sw.js", "_headers", "README.md", FILE, *_COMPAT}
    return [name for name in names if name not in left_out and not name.startswith("model/")]


def sizes(folder: Path, config: Mapping[str, Any]) -> dict[str, int]:
    """Bytes of the shell (sw.js with it), of the compatibility engine and of the model."""
    shell = [*shell_files(folder), *(["sw.js"] if (folder / "sw.js").is_file() else [])]
    compat = [name for name in _COMPAT if (folder / name).is_file()]
    found = {"shell": shell, "compat": compat}
    totals = {f"{key}_bytes": sum((folder / name).stat().st_size for name in names) for key, names in found.items()}
    return totals | {"model_bytes": config["model"]["bytes"], "model_parts": len(config["model"]["parts"])}


def app_proofs(source: Path, folder: Path, config: Mapping[str, Any], metrics: Mapping[str, int]) -> tuple[Proof, ...]:
    """The parts are the file, the spelling is the template's, the shell is small."""
    joined = hashlib.sha256()
    for part in config["model"]["parts"]:
        joined.update((folder / part["path"]).read_bytes())
    how = "SHA-256 of the parts on disk, joined, against the GGUF file"
    tokenizer = tokenizer_of(GGUFFile(source))
    expected = [encode_chat(tokenizer, chat, add_generation_prompt=True).ids for chat in PROOF_CHATS]
    proofs = [equal("web model", joined.hexdigest(), sha256_file(source), how)]
    if config["chat"]["kind"] == "pieces":
        got = [prompt_ids(tokenizer, config["chat"], chat) for chat in PROOF_CHATS]
        how = f"hash of the ids of {len(PROOF_CHATS)} conversations, the app's spelling against the chat template"
        proofs.append(equal("web chat", sha256_json(got), sha256_json(expected), how))
    how = "bytes of the app without the model and the compatibility engine"
    return (*proofs, at_most("web shell", metrics["shell_bytes"], SHELL_LIMIT, how))


def app_lineage(
    source: Path,
    stage: str,
    s: WebSettings,
    packages: Mapping[str, Path],
    metrics: Mapping[str, Any],
    proofs: tuple[Proof, ...],
) -> Lineage:
    """The story of an app's folder."""
    parent = read_lineage(source.parent) if (source.parent / FILE).is_file() else None
    pins = {PACKAGES[key].name: {"version": PACKAGES[key].version, "sha512": PACKAGES[key].sha512} for key in packages}
    return Lineage(
        stage=stage,
        settings={"name": s.name, "part_bytes": s.part_bytes, "context": s.context, "packages": pins},
        seed=parent.seed if parent else None,
        parents={"model": folder_hash(source.parent)} if parent else {},
        data={**(parent.data if parent else {}), "file": sha256_file(source)},
        tokens_seen=parent.tokens_seen if parent else 0,
        metrics=dict(metrics),
        proofs=proofs,
    )


def chat_shape(file: GGUFFile, tokenizer: Tokenizer) -> dict[str, Any]:
    """How the app spells a conversation: in pieces for ChatML, else by the file's template inside the engine."""
    if tokenizer.chat_template is None:
        raise UserError(f"{file.path}: has no chat template; the app is for chats; export a model trained for chat")
    control = sorted(tokenizer.special)
    adds_bos = file.metadata.get("tokenizer.ggml.add_bos_token")
    plain = file.metadata.get("tokenizer.ggml.model") == "gpt2" and isinstance(adds_bos, bool)
    if tokenizer.chat_template != CHATML or not plain:
        return {"kind": "engine", "begin": "", "message": ["", "", ""], "answer": "", "control": control}
    spelled = next((text for text, index in tokenizer.special.items() if index == tokenizer.bos_id), "")
    # The engine puts the first token itself where the file says so.
    return {
        "kind": "pieces",
        "begin": "" if adds_bos else spelled,
        "message": ["<|im_start|>", "\n", "<|im_end|>\n"],
        "answer": "<|im_start|>assistant\n",
        "control": control,
    }


def prompt_text(shape: Mapping[str, Any], messages: tuple[Message, ...]) -> str:
    """The string that the app gives its engine; js/phone/prompt.js is the same in JavaScript."""
    before, between, after = shape["message"]
    text = shape["begin"]
    for message in messages:
        content = message["content"]
        for token in shape["control"]:
            content = content.replace(token, token[0] + _JOINER + token[1:])
        text += before + message["role"] + between + content + after
    return text + shape["answer"]


def prompt_ids(tokenizer: Tokenizer, shape: Mapping[str, Any], messages: tuple[Message, ...]) -> list[int]:
    """The ids that an engine reads from that string: it takes control tokens from text and puts BOS first."""
    backend = tokenizers.Tokenizer.from_str(tokenizer.backend.to_str())
    backend.encode_special_tokens = False
    first = [] if shape["begin"] or tokenizer.bos_id is None else [tokenizer.bos_id]
    return first + backend.encode(prompt_text(shape, messages), add_special_tokens=False).ids


def _context(file: GGUFFile, wanted: int) -> int:
    own = _number(file, "context_length")
    if own < 1 or not 0 <= wanted <= own:
        raise UserError(f"{file.path}: context {wanted or own}; 1 to {own} for this model; choose another --context")
    return wanted or own


def _number(file: GGUFFile, name: str, default: int = 0) -> int:
    value = file.metadata.get(f"{file.metadata.get('general.architecture')}.{name}", default)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _memory(file: GGUFFile) -> dict[str, int]:
    """An estimate for the check before loading: keys and values in 16 bits, and room to compute a batch in."""
    width, heads = _number(file, "embedding_length"), max(_number(file, "attention.head_count", 1), 1)
    head = _number(file, "attention.key_length", width // heads)
    kept = _number(file, "attention.head_count_kv", heads) * head
    wide = max(_number(file, "feed_forward_length"), 4 * width)
    words = len(file.metadata.get("tokenizer.ggml.tokens", []))
    return {
        "bytes_per_position": 2 * 2 * _number(file, "block_count") * kept,
        "scratch_bytes": 4 * _BATCH * (4 * width + 2 * wide) + 8 * words,
    }


def _name(file: GGUFFile, source: Path) -> str:
    name = file.metadata.get("general.name")
    return name.strip()[:60] if isinstance(name, str) and name.strip() else source.stem


def _parts(source: Path, folder: Path, size: int) -> dict[str, Any]:
    """Cuts the file into model/0000.bin and so on; no more than one part is in memory."""
    parts: list[dict[str, Any]] = []
    with open(source, "rb") as file:
        while data := file.read(size):
            path = f"model/{len(parts):04}.bin"
            _write(folder / path, data)
            parts.append({"path": path, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    total = sum(part["bytes"] for part in parts)
    return {"file": source.name, "bytes": total, "sha256": sha256_file(source), "parts": parts}


def _integrity(path: Path) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(path.read_bytes()).digest()).decode()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
