"""How often the paragraph that answers a question is found: whole words against pairs of syllables.

    python benchmarks/rank.py korean=KorQuAD_v1.0_dev.json.gz english=dev-v1.1.jsonl.gz [--model MODEL.gguf]

Files in SQuAD's nested layout, or one {"context", "question"} a line. All paragraphs of a file are one collection; each
question asks for its own. With --model, embeddings of that model joined in as the server does, on --questions of them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from pathlib import Path

import numpy as np

from dotori.serve.rank import Index, best_first, fused

DEPTHS = (1, 5, 10)


def read(path: Path) -> tuple[list[str], list[tuple[str, int]]]:
    """(paragraphs, (question, index of its paragraph))."""
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    if path.name.removesuffix(".gz").endswith(".jsonl"):
        rows = [(row["context"], row["question"]) for row in map(json.loads, text.splitlines())]
    else:
        paragraphs = [paragraph for article in json.loads(text)["data"] for paragraph in article["paragraphs"]]
        rows = [(paragraph["context"], asked["question"]) for paragraph in paragraphs for asked in paragraph["qas"]]
    place = {context: number for number, context in enumerate(dict.fromkeys(context for context, _ in rows))}
    return list(place), [(question, place[context]) for context, question in rows]


def recall(ranks: list[int]) -> dict[str, float]:
    """Share of questions whose paragraph is among the first."""
    return {f"recall_at_{depth}": round(float(np.mean([rank < depth for rank in ranks])), 4) for depth in DEPTHS}


def ranks_of(index: Index, questions: list[tuple[str, int]]) -> list[int]:
    """The place of each question's paragraph."""
    return [int(np.flatnonzero(best_first(index.scores(question)) == right)[0]) for question, right in questions]


def fused_ranks(path: Path, documents: list[str], questions: list[tuple[str, int]]) -> list[int]:
    """The same with embeddings of the model at `path`."""
    from dotori.runtime.open import open_gguf
    from dotori.serve.engine import Engine
    from dotori.serve.models import Served

    served = Served("model", Engine(open_gguf(path, threads=1)))
    index = Index(documents)
    rows = np.stack([served.engine.embed(served.beginning(document)) for document in documents])
    found = []
    for question, right in questions:
        nearness = rows @ served.engine.embed(served.beginning(question))
        found.append(int(np.flatnonzero(best_first(fused(index.scores(question), nearness)) == right)[0]))
    served.engine.close()
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="LANGUAGE=FILE")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    report: dict[str, dict] = {}
    for word in options.files:
        language, _, path = word.partition("=")
        documents, questions = read(Path(path))
        row: dict = {"file": Path(path).name, "paragraphs": len(documents), "questions": len(questions)}
        for name, pairs in (("words", False), ("pairs", True)):
            start = time.perf_counter()
            index = Index(documents, pairs)
            built = time.perf_counter() - start
            row[name] = recall(ranks_of(index, questions))
            seconds = time.perf_counter() - start - built
            row[name] |= {"index_ms": round(1e3 * built, 1), "query_ms": round(1e3 * seconds / len(questions), 2)}
        if options.model:
            some = questions[:: max(1, len(questions) // options.questions)]
            row["fused"] = {"questions": len(some)} | recall(fused_ranks(options.model, documents, some))
            row["pairs_same_questions"] = recall(ranks_of(Index(documents), some))
        report[language] = row
    text = json.dumps(report, indent=2, ensure_ascii=False)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
