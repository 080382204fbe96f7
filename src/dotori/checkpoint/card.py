"""The model card: README.md of a model or export folder, with front matter that the Hugging Face Hub accepts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_LANGUAGES = {"ko": "Korean", "en": "English", "mixed": "mixed"}


def model_card(
    name: str,
    lineage: Mapping[str, Any],
    config: Mapping[str, Any],
    languages: Sequence[str],
    license_name: str,
    files: Mapping[str, int],
    use: str = "",
    library: str = "",
) -> str:
    """Markdown with front matter.

    `lineage` and `config` are the objects of lineage.json and config.json; `languages` are ISO codes; `license_name` is
    an identifier of the Hub such as apache-2.0; `files` maps weight files to bytes; `use` (Markdown) and `library`
    replace what is said of GGUF files and model folders.
    """
    front = {
        "license": license_name,
        "language": list(languages),
        "library_name": library or ("gguf" if any(file.endswith(".gguf") for file in files) else "transformers"),
        "pipeline_tag": "text-generation",
        "tags": ["dotori", "small-language-model", str(lineage.get("stage", "model"))],
    }
    # A JSON value is a YAML value too, so no YAML writer is needed.
    matter = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in front.items())
    parts = [f"---\n{matter}\n---\n", f"# {_line(name)}\n", _what(lineage, config, languages), _files(files)]
    parts += [use or _use(files), _training(lineage), _proofs(lineage), _limits()]
    return "\n".join(part for part in parts if part)


def _what(lineage: Mapping[str, Any], config: Mapping[str, Any], languages: Sequence[str]) -> str:
    parameters = lineage.get("metrics", {}).get("parameters")
    words = " and ".join(_LANGUAGES.get(code, code) for code in languages) or "unknown language"
    rows = [
        ("parameters", f"{parameters:,}" if isinstance(parameters, int) else "see the weights"),
        ("layers, width", f"{config.get('num_hidden_layers')}, {config.get('hidden_size')}"),
        (
            "query and key/value heads",
            f"{config.get('num_attention_heads')}, {config.get('num_key_value_heads')}",
        ),
        ("vocabulary", f"{config.get('vocab_size')}"),
        ("context", f"{config.get('max_position_embeddings')} tokens"),
    ]
    table = "\n".join(f"| {key} | {value} |" for key, value in rows)
    return f"A small language model for {words}, made with Dotori.\n\n| | |\n|---|---|\n{table}\n"


def _files(files: Mapping[str, int]) -> str:
    rows = "\n".join(f"| `{name}` | {size / 1e6:.2f} MB |" for name, size in files.items())
    return f"| file | size |\n|---|---|\n{rows}\n" if rows else ""


def _use(files: Mapping[str, int]) -> str:
    gguf = next((name for name in files if name.endswith(".gguf")), None)
    if gguf:
        return f"## Use\n\n```\ndotori chat {gguf}\nllama-cli -m {gguf}\n```\n"
    return (
        "## Use\n\n```\ndotori chat .\n```\n\n```python\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        'model = AutoModelForCausalLM.from_pretrained(".")\ntokenizer = AutoTokenizer.from_pretrained(".")\n```\n'
    )


def _training(lineage: Mapping[str, Any]) -> str:
    rows = [("stage", lineage.get("stage")), ("seed", lineage.get("seed")), ("tokens seen", lineage.get("tokens_seen"))]
    rows += [(f"parent: {name}", f"`{str(value)[:16]}`") for name, value in (lineage.get("parents") or {}).items()]
    rows += [
        (name.replace("_", " "), value)
        for name, value in (lineage.get("metrics") or {}).items()
        if isinstance(value, int | float) and name != "parameters"
    ]
    table = "\n".join(f"| {_line(key)} | {_number(value)} |" for key, value in rows if value is not None)
    return f"## How it was made\n\n| | |\n|---|---|\n{table}\n\nSettings and hashes stand in `lineage.json`.\n"


def _proofs(lineage: Mapping[str, Any]) -> str:
    proofs = [proof for proof in lineage.get("proofs") or [] if isinstance(proof, Mapping)]
    rows = "\n".join(
        f"| {_line(str(proof.get('name')))} | {_number(proof.get('value'))} | {_number(proof.get('threshold'))} "
        f"| {_line(str(proof.get('how', '')))} |"
        for proof in proofs
    )
    return f"## Proofs\n\n| proof | figure | limit | how |\n|---|---|---|---|\n{rows}\n" if rows else ""


def _limits() -> str:
    return (
        "## Limits\n\nA small model: it makes mistakes, knows little, and repeats what its training text says, biases "
        "included. Do not rely on it for facts or decisions about people.\n"
    )


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else _line(str(value))


def _line(text: str) -> str:
    """Text that cannot leave its table cell or heading."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
