"""Build the questions of the claims desk: a second labelled set over the Meridian documents, in the desk's shorthand.

Sources:  desk/<lang>.jsonl, and desk/words.json, which says what each word of the shorthand stands for.
Results:  src/freehold/demo/meridian/desk/queries.jsonl, qrels/<split>.tsv. No document and no result explains a word.
The same sources always give the same bytes. Every problem found is printed and nothing is written then.

A question may be answered by documents that answer another one of another split, except that train and dev share none:
training on a set whose dev part shares documents with train leaves those questions out. What dev and test ask is new:
no question of theirs has the same words of the shorthand, answered by the same document, as one of train.

Usage:  python tools/meridian/desk.py [--check] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markup import Document, block_texts, plain_quote, read_document, shown_blocks

HERE = Path(__file__).resolve().parent
DEFAULT_OUT = HERE.parents[1] / "src" / "freehold" / "demo" / "meridian" / "desk"
LANGS = ("de", "en", "fr")
SPLITS = ("train", "dev", "test")
LEARNED = 4
"""Questions of train that every word must be in."""


@dataclass(frozen=True)
class Evidence:
    doc: str
    grade: int
    quote: str


@dataclass(frozen=True)
class DeskQuestion:
    id: str
    lang: str
    text: str
    evidence: tuple[Evidence, ...]
    split: str
    words: tuple[str, ...]

    def grades(self) -> dict[str, int]:
        """The best grade of each document."""
        best: dict[str, int] = {}
        for item in self.evidence:
            best[item.doc] = max(item.grade, best.get(item.doc, 0))
        return best

    def combinations(self) -> set[tuple[tuple[str, ...], str]]:
        """Its words of the shorthand with each document that answers."""
        return {(self.words, doc) for doc in self.grades()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the questions of the claims desk.")
    parser.add_argument("--check", action="store_true", help="only check the sources")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder for the results")
    options = parser.parse_args()
    words = json.loads((HERE / "desk" / "words.json").read_text(encoding="utf-8"))
    documents = {path.stem: read_document(path) for path in sorted((HERE / "documents").glob("*/*.md"))}
    questions = [question for lang in LANGS for question in read_questions(HERE / "desk" / f"{lang}.jsonl", words)]
    problems = list(problems_of(questions, documents, words))
    if problems:
        sys.exit("\n".join([*problems, f"{len(problems)} problems, nothing written"]))
    if not options.check:
        write(questions, options.out)
    splits = Counter(question.split for question in questions)
    print(f"{len(questions)} questions {dict(splits)}, {len(words)} words")


def read_questions(path: Path, words: dict[str, str]) -> Iterator[DeskQuestion]:
    for line in path.read_text(encoding="utf-8").splitlines():
        row: dict[str, Any] = json.loads(line)
        evidence = tuple(Evidence(item["doc"], item["grade"], item["quote"]) for item in row["docs"])
        used = tuple(word for word in sorted(words) if is_used(word, row["question"]))
        yield DeskQuestion(row["id"], row["lang"], row["question"], evidence, row["split"], used)


def is_used(word: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}s?(?!\w)", text, re.IGNORECASE) is not None


# Checks


def problems_of(questions: list[DeskQuestion], documents: dict[str, Document], words: dict[str, str]) -> Iterator[str]:
    yield from repeated("question", (question.id for question in questions))
    yield from repeated("text", (" ".join(re.findall(r"\w+", q.text.casefold())) for q in questions))
    for question in questions:
        for problem in question_problems(question, documents):
            yield f"{question.id}: {problem}"
    yield from word_problems(questions, documents, words)
    yield from split_problems(questions)


def question_problems(question: DeskQuestion, documents: dict[str, Document]) -> Iterator[str]:
    if question.split not in SPLITS:
        yield f"unknown split: {question.split}"
    if not question.words:
        yield "no word of the shorthand is in it"
    if 2 not in question.grades().values():
        yield "no document of grade 2 answers it"
    for item in question.evidence:
        doc, quote = documents.get(item.doc), plain_quote(item.quote)
        if doc is None:
            yield f"there is no document {item.doc}"
        elif not quote or not any(quote in text for block in shown_blocks(doc) for text in block_texts(block)):
            yield f"{doc.id} has no paragraph with the quote: {item.quote}"


def word_problems(
    questions: list[DeskQuestion], documents: dict[str, Document], words: dict[str, str]
) -> Iterator[str]:
    learned = Counter(word for question in questions if question.split == "train" for word in question.words)
    for word in words:
        if learned[word] < LEARNED:
            yield f"{word}: in {learned[word]} questions of train only"
        for doc in documents.values():
            if any(is_used(word, text) for block in doc.blocks for text in block_texts(block)):
                yield f"{word}: stands in {doc.id}"


def split_problems(questions: list[DeskQuestion]) -> Iterator[str]:
    train = [question for question in questions if question.split == "train"]
    known = {combination for question in train for combination in question.combinations()}
    docs = {doc for question in train for doc in question.grades()}
    for question in questions:
        if question.split != "train" and question.combinations() & known:
            yield f"{question.id}: train has its words of the same document"
        if question.split == "dev" and docs & set(question.grades()):
            yield f"{question.id}: {', '.join(sorted(docs & set(question.grades())))} answers questions of train"


def repeated(kind: str, names: Iterable[str]) -> Iterator[str]:
    return (f"{kind} {name} occurs {count} times" for name, count in Counter(names).items() if count > 1)


# Results


def write(questions: list[DeskQuestion], folder: Path) -> None:
    write_lines(
        folder / "queries.jsonl", (json.dumps(query_row(question), ensure_ascii=False) for question in questions)
    )
    for split in SPLITS:
        rows = [
            f"{question.id}\t{doc}\t{grade}"
            for question in questions
            if question.split == split
            for doc, grade in question.grades().items()
        ]
        write_lines(folder / "qrels" / f"{split}.tsv", ["query-id\tcorpus-id\tscore", *rows])


def query_row(question: DeskQuestion) -> dict[str, Any]:
    metadata = {"lang": question.lang, "split": question.split, "desk_words": list(question.words)}
    return {"_id": question.id, "text": question.text, "metadata": metadata}


def write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8"))


if __name__ == "__main__":
    main()
