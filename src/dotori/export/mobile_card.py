"""README.md of an export for a phone's engine: what an app must know to call the file."""

from __future__ import annotations

from typing import Any

from dotori.checkpoint.card import model_card
from dotori.checkpoint.hf_names import config_to_hf
from dotori.checkpoint.lineage import Lineage
from dotori.model.config import ModelConfig

_EXECUTORCH = """## Use

One method, `forward`, reads tokens behind those it has read and holds the key/value cache itself.

| | name | dtype | shape | |
|---|---|---|---|---|
| input 0 | `tokens` | int64 | (1, T), T from 1 to {piece} | ids to read |
| input 1 | `start` | int64 | (1,) | position of the first of them, from 0; start + T is at most {context} |
| output 0 | `logits` | float32 | (1, {vocab}) | after the last of them |

A text begins at `start` 0, which forgets the one before. A prompt goes in by pieces of at most {piece} tokens, each
`start` being the number of tokens before it; then one token a call, the one chosen from the logits. Generation ends at
the ids {stops}{bos}. The backend is XNNPACK; every other operator is one of ExecuTorch's portable kernels. The memory
that is planned for the file must begin as zeros, as ExecuTorch's `Module` makes it.

The same figures stand in the file as constant methods (`get_max_context_len`, `get_max_seq_len`, `get_vocab_size`,
`get_eos_ids`, `use_kv_cache`, ...), and the signature is that of ExecuTorch's own text runners, which read
`tokenizer.json` too. `chat_template.jinja` lays out a conversation.

Kotlin, with `org.pytorch:executorch-android` of the version that made the file ({version}):

```kotlin
val module = Module.load(path)
val tokens = EValue.from(Tensor.fromBlob(ids, longArrayOf(1, ids.size.toLong())))
val start = EValue.from(Tensor.fromBlob(longArrayOf(position), longArrayOf(1)))
val logits = module.forward(tokens, start)[0].toTensor().dataAsFloatArray
```

Swift, with the products `executorch`, `backend_xnnpack` and `kernels_optimized` of the same version:

```swift
let module = Module(filePath: path)
let tokens = Tensor<Int64>(ids, shape: [1, ids.count])
let logits: Tensor<Float> = try module.forward([tokens, Tensor<Int64>([position])])[0].tensor()!
```

The file was run on the host; the lines above are from the interfaces' documentation and were not run on a phone.
"""


def executorch_card(name: str, lineage: Lineage, config: ModelConfig, file: str, version: str) -> str:
    """The card of an ExecuTorch export."""
    found = lineage.metrics
    use = _EXECUTORCH.format(
        piece=found["largest_piece"],
        context=found["context"],
        vocab=config.vocab_size,
        stops=", ".join(map(str, found["stop_ids"])),
        bos="" if config.bos_token_id is None else f"; a text begins with id {config.bos_token_id}",
        version=version,
    )
    return _card(name, lineage, config, file, use, "executorch")


_ONNX = """## Use

The folder is a model for onnxruntime-genai ({version}), made by its own builder:

```python
import onnxruntime_genai as og

model = og.Model(".")
tokenizer, parameters = og.Tokenizer(model), og.GeneratorParams(model)
parameters.set_search_options(max_length={context}, do_sample=False)
generator = og.Generator(model, parameters)
generator.append_tokens(tokenizer.encode(prompt))
while not generator.is_done():
    generator.generate_next_token()
print(tokenizer.decode(generator.get_sequence(0)))
```

`chat_template.jinja` lays out a conversation; a prompt begins with{bos}. Control tokens spelled in a text (such as
`<|im_end|>`) become control tokens here, other than in `dotori chat`: take them out of what people write. The same
folder serves C#, Java (Android) and Objective-C through onnxruntime-genai's own packages; it was run on the host only.
"""


def onnx_card(name: str, lineage: Lineage, config: ModelConfig, file: str, version: str) -> str:
    """The card of an export for onnxruntime-genai."""
    bos = "out a BOS token" if config.bos_token_id is None else f" id {config.bos_token_id}"
    use = _ONNX.format(version=version, context=lineage.metrics["context"], bos=bos)
    return _card(name, lineage, config, file, use, "onnxruntime-genai")


def _card(name: str, lineage: Lineage, config: ModelConfig, file: str, use: str, library: str) -> str:
    story: dict[str, Any] = {
        "stage": "export",
        "metrics": lineage.metrics,
        "parents": lineage.parents,
        "seed": lineage.seed,
    }
    story |= {"tokens_seen": lineage.tokens_seen, "proofs": [vars(proof) for proof in lineage.proofs]}
    files = {file: lineage.metrics["file_bytes"]}
    shape = config_to_hf(config) | {"max_position_embeddings": lineage.metrics["context"]}
    return model_card(name, story, shape, ("ko", "en"), "apache-2.0", files, use, library)
