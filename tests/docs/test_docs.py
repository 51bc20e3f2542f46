"""The documentation is true: its blocks run and print what the pages show, its tables are the code's.

After a change that alters them: ``python tests/docs/rewrite.py`` writes tables and outputs anew; read the difference.
"""

from __future__ import annotations

import re
import shutil
import typing
from pathlib import Path

import pytest
from doc_blocks import Difference, Session, agrees, blocks, commands, continues, differences
from doc_tables import REPOSITORY, TABLES, named, with_tables

from freehold import config
from freehold.text.parse.kind import Kind
from freehold.text.parse.outcome import Reason

PAGES = {path.relative_to(REPOSITORY).name: path for path in [REPOSITORY / "README.md", *REPOSITORY.glob("docs/*.md")]}
RUN = {"python", "console", "toml"}
SHOWN = {"", "text", "json"}
"""Languages of blocks that are only looked at."""


def page(name: str) -> str:
    return PAGES[name].read_text(encoding="utf-8")


def has_code(name: str) -> bool:
    return any(block.language in {"python", "console"} and block.reason is None for block in blocks(page(name)))


class Reader:
    """Follows pages, each once, in one place: a house knows its documents by their absolute paths."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._wrong: dict[str, list[str]] = {}

    def follow(self, name: str) -> list[str]:
        """Run a page after the page it continues; what it shows wrongly."""
        if name not in self._wrong:
            before = continues(page(name))
            if before:
                self.follow(before)
            folder = self._root / "reader"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(self._root / before, folder) if before else folder.mkdir()
            self._wrong[name] = [_told(name, d) for d in differences(page(name), Session(folder), name=name)]
            folder.rename(self._root / name)
        return self._wrong[name]


def _told(name: str, d: Difference) -> str:
    shown, printed = f"--- shown\n{d.shown}", f"--- printed (exit code {d.exit_code})\n{d.printed}"
    return f"{name}, block at line {d.line}: {d.what}\n{shown}{printed}"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(tmp_path_factory.mktemp("docs"))


@pytest.mark.parametrize("name", sorted(filter(has_code, PAGES)))
def test_blocks_run_and_print_what_is_shown(name: str, reader: Reader, minilm: Path) -> None:
    wrong = reader.follow(name)
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_tables_are_those_of_the_code(name: str) -> None:
    assert page(name) == with_tables(page(name)), "python tests/docs/rewrite.py writes it anew"


def test_every_table_is_in_a_page() -> None:
    assert set().union(*(named(page(name)) for name in PAGES)) == set(TABLES)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_blocks_are_well_formed(name: str) -> None:
    text = page(name)
    assert not re.search(r"^[ >]+```", text, re.MULTILINE), "an indented block is not seen by the tests"
    fences = len(re.findall("^```", text, re.MULTILINE))
    assert fences == 2 * sum(1 if block.shown is None else 2 for block in blocks(text)), "a block is not closed"
    for block in blocks(text):
        assert block.language in RUN | SHOWN, f"line {block.line}: {block.language}"
        assert block.reason is None or len(block.reason.split()) >= 3, f"line {block.line}: a reason, in words"
        assert block.language != "console" or block.body.startswith("$ "), f"line {block.line}"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_settings_shown_are_valid(name: str, tmp_path: Path) -> None:
    for block in blocks(page(name)):
        if block.language == "toml" and block.reason is None:
            (tmp_path / config.FILE_NAME).write_text(block.body, encoding="utf-8")
            config.load(tmp_path / config.FILE_NAME)


def test_every_kind_of_file_and_every_reason_is_explained() -> None:
    rows = set(re.findall(r"^\| `(\w+)`", page("ingest.md"), re.MULTILINE))
    assert rows >= set(typing.get_args(Kind))
    assert rows >= set(typing.get_args(Reason))


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("two hits\n", "two hits  \n\n", True),
        ("two hits\n", "three hits\n", False),
        ("2 hits in 1.0 s\n", "2 hits in 33.25 s\n", True),
        ("2 hits in 1.0 s\n", "3 hits in 1.0 s\n", False),
        ("dense    .655 [.563, 1.000]\n", "dense   1.000 [.990, 1.000]\n", True),
        ("dense - lexical  +0.020\n", "dense - lexical  -0.001\n", True),
        ("dense - lexical  +0.020\n", "dense - lexical  +0.020*\n", False),
        (".../lease.md [0:9]\n", "/srv/papers/lease.md [0:9]\n", True),
        ("first\n...\nlast\n", "first\nlast\n", True),
        ("first\n...\nlast\n", "first\nsecond\nthird\nlast\n", True),
        ("first\n...\nlast\n", "first\nsecond\n", False),
        ("", "unexpected\n", False),
    ],
)
def test_what_agrees(shown: str, printed: str, same: bool) -> None:
    assert agrees(shown, printed) is same


def test_commands_of_a_block() -> None:
    (block,) = blocks("```console\n$ cat > a <<'E'\n> one\n>\n> E\n$ cat a\none\n\n```\n")
    assert [(c.text, c.shown) for c in commands(block)] == [("cat > a <<'E'\none\n\nE", ""), ("cat a", "one\n\n")]


def test_a_failing_command_is_a_difference(tmp_path: Path) -> None:
    text = "```console\n$ false\n```\n\n```console\n$ false\n$ echo $?\n1\n```\n"
    assert [d.line for d in differences(text, Session(tmp_path), name="page")] == [1]
