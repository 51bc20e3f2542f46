"""Build the Meridian demo corpus: Markdown sources in, office files and a BEIR question set out.

Sources:  documents/<lang>/<id>.md and questions/<lang>.jsonl next to this script.
Results:  src/freehold/demo/meridian/documents/<id>.<ext>, queries.jsonl, answers.jsonl, qrels/<split>.tsv.
The same sources always give the same bytes. Every problem found is printed and nothing is written then.

Needs Python 3.11 and:  pip install reportlab python-docx openpyxl
Usage:  python tools/meridian/build.py [--check] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markup import Bullets, Document, Heading, Table, block_texts, plain_quote, read_document, shown_blocks
from office_formats import render_docx, render_odt, render_xlsx
from pdf_format import render_pdf
from text_formats import render_csv, render_eml, render_html, render_md, render_rtf, render_txt

HERE = Path(__file__).resolve().parent
DEFAULT_OUT = HERE.parents[1] / "src" / "freehold" / "demo" / "meridian"
LANGS = ("de", "en", "fr")
SPLITS = ("train", "dev", "test")
META_KEYS = ("id", "title", "lang", "format", "split", "date")
MAIL_KEYS = ("from", "to", "subject")
RENDERERS: dict[str, Callable[[Document], bytes]] = {
    "csv": render_csv,
    "docx": render_docx,
    "eml": render_eml,
    "html": render_html,
    "md": render_md,
    "odt": render_odt,
    "pdf": render_pdf,
    "rtf": render_rtf,
    "txt": render_txt,
    "xlsx": render_xlsx,
}


@dataclass(frozen=True)
class Evidence:
    doc: str
    grade: int
    quote: str


@dataclass(frozen=True)
class Question:
    id: str
    lang: str
    text: str
    answer: str | None
    evidence: tuple[Evidence, ...]
    split: str
    why: str

    def grades(self) -> dict[str, int]:
        """The best grade of each document, for the relevance judgements."""
        best: dict[str, int] = {}
        for item in self.evidence:
            best[item.doc] = max(item.grade, best.get(item.doc, 0))
        return best


def main() -> None:
    options = parse_arguments()
    documents = [read_document(path) for path in sorted((HERE / "documents").glob("*/*.md"))]
    questions = [question for path in sorted((HERE / "questions").glob("*.jsonl")) for question in read_questions(path)]
    problems = [*check_documents(documents), *check_questions(questions, documents)]
    if problems:
        sys.exit("\n".join([*problems, f"{len(problems)} problems, nothing written"]))
    if not options.check:
        write_documents(documents, options.out / "documents")
        write_questions(questions, options.out)
    print(summary(documents, questions))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Build the Meridian demo corpus.")
    parser.add_argument("--check", action="store_true", help="only check the sources")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder for the results")
    return parser.parse_args()


def read_questions(path: Path) -> Iterator[Question]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            yield make_question(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            sys.exit(f"{path.name}, line {number}: {type(error).__name__} {error}")


def make_question(row: dict[str, Any]) -> Question:
    evidence = tuple(Evidence(item["doc"], item["grade"], item["quote"]) for item in row["docs"])
    return Question(row["id"], row["lang"], row["question"], row["answer"], evidence, row["split"], row.get("why", ""))


# Checks


def check_documents(documents: list[Document]) -> Iterator[str]:
    yield from repeated("document", (doc.id for doc in documents))
    for doc in documents:
        for problem in document_problems(doc):
            yield f"{doc.id}: {problem}"


def document_problems(doc: Document) -> Iterator[str]:
    missing = [key for key in META_KEYS if not doc.meta.get(key)]
    if missing:
        yield f"front matter lacks {', '.join(missing)}"
        return
    if not (HERE / "documents" / doc.lang / f"{doc.id}.md").is_file():
        yield f"not found as documents/{doc.lang}/{doc.id}.md"
    if not re.fullmatch(rf"{doc.lang}-[a-z0-9-]+", doc.id):
        yield "the id must be lower-case ascii and start with the language"
    if doc.lang not in LANGS or doc.split not in SPLITS or doc.format not in RENDERERS:
        yield f"unknown language, split or format: {doc.lang}, {doc.split}, {doc.format}"
    if not is_date(doc.meta["date"]):
        yield f"{doc.meta['date']} is not a date such as 2025-01-31"
    if doc.format == "eml" and any(not doc.meta.get(key) for key in MAIL_KEYS):
        yield "a mail needs from, to and subject"
    yield from layout_problems(doc)


def layout_problems(doc: Document) -> Iterator[str]:
    kinds = [type(block) for block in doc.blocks]
    if kinds[:1] != [Heading] or len(kinds) < 2:
        yield "must start with a title and go on with text"
    if doc.format in ("csv", "xlsx") and kinds != [Heading, Table]:
        yield "a sheet holds a title and one table, nothing else"
    for block in doc.blocks:
        if isinstance(block, Table) and len({len(row) for row in block.rows}) != 1:
            yield f"rows of different lengths in the table that starts with {block.rows[0]}"
        texts = block.items if isinstance(block, Bullets) else () if isinstance(block, Table) else (block.text,)
        if any(text.count("**") % 2 for text in texts):
            yield f"bold is not closed in: {texts[0][:60]}"


def check_questions(questions: list[Question], documents: list[Document]) -> Iterator[str]:
    yield from repeated("question", (question.id for question in questions))
    by_id = {doc.id: doc for doc in documents}
    for question in questions:
        for problem in question_problems(question, by_id):
            yield f"{question.id}: {problem}"
    yield from shared_documents(questions)


def question_problems(question: Question, by_id: dict[str, Document]) -> Iterator[str]:
    if question.lang not in LANGS or question.split not in SPLITS:
        yield f"unknown language or split: {question.lang}, {question.split}"
    if not question.text.strip():
        yield "the question is empty"
    if question.answer is None and (question.evidence or not question.why):
        yield "an unanswerable question has no documents but says why"
    if question.answer is not None and 2 not in question.grades().values():
        yield "no document of grade 2 answers it"
    for item in question.evidence:
        yield from evidence_problems(item, question, by_id)


def evidence_problems(item: Evidence, question: Question, by_id: dict[str, Document]) -> Iterator[str]:
    doc = by_id.get(item.doc)
    if doc is None:
        yield f"there is no document {item.doc}"
        return
    if item.grade not in (1, 2):
        yield f"grade {item.grade} of {doc.id} is neither 1 nor 2"
    if doc.split != question.split:
        yield f"its split is {question.split}, but {doc.id} belongs to {doc.split}"
    quote = plain_quote(item.quote)
    if not quote or not any(quote in text for block in shown_blocks(doc) for text in block_texts(block)):
        yield f"{doc.id} has no paragraph with the quote: {item.quote}"


def shared_documents(questions: list[Question]) -> Iterator[str]:
    """A document whose questions lie in two splits would leak test answers into training."""
    splits: dict[str, set[str]] = {}
    for question in questions:
        for item in question.evidence:
            splits.setdefault(item.doc, set()).add(question.split)
    for doc, found in sorted(splits.items()):
        if len(found) > 1:
            yield f"{doc}: answers questions of several splits: {', '.join(sorted(found))}"


def repeated(kind: str, ids: Iterable[str]) -> Iterator[str]:
    return (f"{kind} {name} occurs {count} times" for name, count in Counter(ids).items() if count > 1)


def is_date(text: str) -> bool:
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


# Results


def write_documents(documents: list[Document], folder: Path) -> None:
    files = {f"{doc.id}.{doc.format}": RENDERERS[doc.format](doc) for doc in documents}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def write_questions(questions: list[Question], folder: Path) -> None:
    write_lines(folder / "queries.jsonl", (as_json(query_row(question)) for question in questions))
    write_lines(folder / "answers.jsonl", (as_json(answer_row(question)) for question in questions))
    for split in SPLITS:
        rows = [
            f"{question.id}\t{doc}\t{grade}"
            for question in questions
            if question.split == split
            for doc, grade in question.grades().items()
        ]
        write_lines(folder / "qrels" / f"{split}.tsv", ["query-id\tcorpus-id\tscore", *rows])


def query_row(question: Question) -> dict[str, Any]:
    return {"_id": question.id, "text": question.text, "metadata": {"lang": question.lang, "split": question.split}}


def answer_row(question: Question) -> dict[str, Any]:
    """The evidence is what holds the answer (grade 2); documents of grade 1 stand in the qrels only."""
    evidence = [{"doc": item.doc, "quote": plain_quote(item.quote)} for item in question.evidence if item.grade == 2]
    return {
        "_id": question.id,
        "answer": question.answer,
        "answerable": question.answer is not None,
        "split": question.split,
        "evidence": evidence,
    }


def as_json(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8"))


def summary(documents: list[Document], questions: list[Question]) -> str:
    langs = Counter(doc.lang for doc in documents)
    formats = Counter(doc.format for doc in documents)
    splits = Counter(question.split for question in questions)
    open_ends = sum(question.answer is None for question in questions)
    return (
        f"{len(documents)} documents {dict(sorted(langs.items()))} {dict(sorted(formats.items()))}\n"
        f"{len(questions)} questions {dict(splits)}, {open_ends} of them unanswerable"
    )


if __name__ == "__main__":
    main()
