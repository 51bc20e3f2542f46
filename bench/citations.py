"""How many sentences of human answers ``cite`` supports from their own passages, and from those of another question.

    python bench/citations.py --data FOLDER [--embed]

FOLDER holds ``clapnq-dev`` and ``mtrag-un``. An answer is shown its gold passages (high is right: people wrote it from
them), then the gold passages of the next question (low is right), then its own with one number changed (low is right).
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from pathlib import Path

from freehold.core.ports import Embedder
from freehold.core.types import Passage
from freehold.journeys.cite import cite


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def answered(folder: Path, split: str) -> list[tuple[str, str, list[Passage]]]:
    """(question, human answer, gold passages) of every answerable question of the split."""
    texts = {row["_id"]: row for row in rows(folder / "corpus.jsonl")}
    gold = defaultdict(list)
    for line in (folder / "qrels" / f"{split}.tsv").read_text().splitlines()[1:]:
        query, document, _ = line.split("\t")
        row = texts[document]
        gold[query].append(Passage(document, document, row.get("title", ""), 0, len(row["text"]), row["text"]))
    questions = {row["_id"]: row["text"] for row in rows(folder / "queries.jsonl")}
    return [
        (questions[row["_id"]], row["answers"][0], gold[row["_id"]])
        for row in rows(folder / "answers.jsonl")
        if row["_id"] in gold and row["answers"] and row.get("answerability", "ANSWERABLE") == "ANSWERABLE"
    ]


def other_number(text: str) -> str | None:
    """``text`` with its first number of two digits or more raised by seven; None where it has none."""
    match = re.search(r"(?<![\d.,])\d{2,}(?![\d.,])", text)
    return text[: match.start()] + str(int(match[0]) + 7) + text[match.end() :] if match else None


def measure(name: str, asked: list[tuple[str, str, list[Passage]]], embedder: Embedder | None) -> None:
    answers = [cite(text, passages, question=question, embedder=embedder) for question, text, passages in asked]
    sentences = kept = 0
    for answer in answers:
        removed = answer.trace.tokens["removed_sentences"]
        lines = 0 if answer.abstained else len(re.findall(r"\s(?:\[\d+\])+(?=\s|$)", answer.text))
        sentences, kept = sentences + lines + removed, kept + lines
    whole = sum(not a.abstained and not a.trace.tokens["removed_sentences"] for a in answers)
    some = sum(not a.abstained for a in answers)
    print(
        f"{name:24} answers {len(answers):4d}  sentences {sentences:4d}  kept {kept / sentences:.3f}  "
        f"answers with any {some / len(answers):.3f}  whole {whole / len(answers):.3f}"
    )


def main(embedder: Embedder | None, data: Path) -> None:
    for folder in ("clapnq-dev", "mtrag-un"):
        for split in ("dev", "test", "train"):
            asked = answered(data / folder, split)
            moved = [passages for _, _, passages in [*asked[1:], asked[0]]]
            wrong = [(q, changed, p) for q, text, p in asked if (changed := other_number(text))]
            right = [(q, text, p) for q, text, p in asked if other_number(text)]
            measure(f"{folder} {split} own", asked, embedder)
            others = [(q, t, p) for (q, t, _), p in zip(asked, moved, strict=True)]
            measure(f"{folder} {split} other", others, embedder)
            measure(f"{folder} {split} numbers", right, embedder)
            measure(f"{folder} {split} wrong number", wrong, embedder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--embed", action="store_true", help="let the packaged embedder vouch for paraphrases")
    arguments = parser.parse_args()
    from freehold.models.embed import open_embedder

    main(open_embedder("onnx", "all-minilm-l6-v2") if arguments.embed else None, arguments.data)
