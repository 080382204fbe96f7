"""The card's front matter is valid YAML for the Hub and no text can break out of its place."""

import yaml
from huggingface_hub import ModelCard

from dotori.checkpoint.card import model_card

LINEAGE = {
    "stage": "sft",
    "seed": 1,
    "tokens_seen": 2_000_000,
    "parents": {"decay": "ab" * 32},
    "metrics": {"parameters": 2_131_456, "bits_per_byte_ko": 0.412},
    "proofs": [
        {"name": "loss_mask", "value": 0.31, "threshold": 0.0, "passed": True, "how": "share | of <b>tokens</b>"}
    ],
}
CONFIG = {
    "num_hidden_layers": 6,
    "hidden_size": 160,
    "num_attention_heads": 5,
    "num_key_value_heads": 5,
    "vocab_size": 2048,
    "max_position_embeddings": 512,
}


def card(**changes):
    given = {"name": "demo sft", "lineage": LINEAGE, "config": CONFIG, "languages": ["ko", "en"]}
    given |= {"license_name": "apache-2.0", "files": {"model.safetensors": 8_525_824}}
    return model_card(**(given | changes))


def test_front_matter_is_what_the_hub_reads():
    text = card()
    front = yaml.safe_load(text.split("---")[1])
    assert front["license"] == "apache-2.0"
    assert front["language"] == ["ko", "en"]
    assert front["library_name"] == "transformers"
    assert ModelCard(text).data.to_dict()["pipeline_tag"] == "text-generation"


def test_it_says_sizes_parents_and_proofs():
    text = card()
    for part in ("2,131,456", "Korean and English", "8.53 MB", "abababababababab", "loss_mask", "0.31", "6, 160"):
        assert part in text


def test_an_export_names_its_file():
    text = card(files={"model-Q4_0.gguf": 1_310_000})
    assert "dotori chat model-Q4_0.gguf" in text
    assert yaml.safe_load(text.split("---")[1])["library_name"] == "gguf"


def test_hostile_names_stay_in_their_place():
    text = card(name="x\n---\nlicense: evil | <script>", lineage=LINEAGE | {"stage": 'a": b\n---'})
    assert yaml.safe_load(text.split("\n---\n")[0].removeprefix("---\n"))["tags"][2] == 'a": b\n---'
    assert "<script>" not in text
    assert "share \\| of &lt;b>tokens" in text
