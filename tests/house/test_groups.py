"""Groups of documents in a whole house: set, changed, carried on, tried from the command line, and never lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from freehold.backup import backup
from freehold.core.access import FIELD, Caller
from freehold.core.errors import UsageError
from freehold.core.faults import KILL_AT
from freehold.core.types import Passage
from freehold.erasing.rectify import rectify
from freehold.groups import assign, belonging
from freehold.house import House, open_house
from freehold.restore import restore

PAY = "The board raises the pay of the harbour pilots by nine percent. The board told nobody of the raise. " * 3
RULES = "The harbour pilots are paid on the last day of the month. Pilots sign the ledger of pay themselves. " * 3
MENU = "The canteen serves lentil soup to harbour pilots on Mondays. Fish is served on Fridays. " * 3
PILOTS = "how are the harbour pilots paid"


def told(_stage: str, _done: int, _total: int) -> None:
    pass


def member(*groups: str) -> Caller:
    return Caller(frozenset(groups))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Path:
    """A folder with a house and its papers: the board's, the staff's, everybody's."""
    root = tmp_path_factory.mktemp("groups")
    for name, text in {"board/pay.txt": PAY, "staff/rules.txt": RULES, "open/menu.txt": MENU}.items():
        (root / "papers" / name).parent.mkdir(parents=True)
        (root / "papers" / name).write_text(text)
    with House.create(root / "house", {"house.name": "groups"}) as house:
        house.ingest([root / "papers" / "board"], groups=["board"])
        house.ingest([root / "papers" / "staff"], groups=["staff", "board"])
        house.ingest([root / "papers" / "open"])
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy, with the papers where they were: their places are known to the house."""
    shutil.copytree(made / "house", tmp_path / "house")
    return tmp_path


@pytest.fixture
def house(root: Path) -> Iterator[House]:
    with open_house(root / "house") as house:
        yield house


def names(sources: Sequence[str]) -> set[str]:
    return {Path(source).stem for source in sources}


def seen(house: House, caller: Caller | None) -> set[str]:
    return names([hit.source for hit in house.search(PILOTS, caller=caller).hits])


def groups(house: House) -> dict[str, tuple[str, ...]]:
    return {Path(source).stem: known.groups for source, known in house.shelf.known().items()}


def labels(house: House) -> dict[str, int]:
    """Label -> points, as the index has them."""
    index = house.engines().index
    return {label: index.count({FIELD: label}) for label in ("", "board", "board,staff", "staff")}


class Listener:
    """A generator that quotes everything it is given, and remembers it."""

    name = "listener"
    context_tokens = 8192

    def __init__(self) -> None:
        self.heard: list[Passage] = []

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def generate(self, question: str, passages: Sequence[Passage], *, timeout_s: float) -> Iterator[str]:
        self.heard = list(passages)
        yield "\n".join(passage.text for passage in passages)


def test_search_and_answer_see_what_the_caller_may_see(house: House) -> None:
    assert seen(house, None) == {"pay", "rules", "menu"}
    assert seen(house, member("board")) == {"pay", "rules", "menu"}
    assert seen(house, member("staff", "other")) == {"rules", "menu"}
    assert seen(house, member("other")) == seen(house, member()) == {"menu"}
    listener = Listener()
    house.generator = listener
    for caller, theirs in (
        (None, {"pay", "rules", "menu"}),
        (member("staff"), {"rules", "menu"}),
        (member(), {"menu"}),
    ):
        answer = house.ask(PILOTS, caller=caller)
        assert names([passage.source for passage in listener.heard]) == theirs
        assert names([citation.source for citation in answer.citations]) <= theirs
        assert answer.citations
        assert ("nine percent" in answer.text) == ("pay" in theirs)


def test_groups_change_without_a_document_being_made_anew(house: House, made: Path) -> None:
    before = {source: known.document_id for source, known in house.shelf.known().items()}
    report = house.ingest([made / "papers" / "board", made / "papers" / "open"], groups=["staff"])
    assert (report.documents, report.skipped, report.regrouped, report.embedded) == (0, 2, 2, 0)
    assert {source: known.document_id for source, known in house.shelf.known().items()} == before
    assert groups(house) == {"pay": ("staff",), "rules": ("board", "staff"), "menu": ("staff",)}
    points = labels(house)
    assert (points[""], points["board"]) == (0, 0)
    assert sum(points.values()) == house.stats().chunks
    assert seen(house, member("staff")) == {"pay", "rules", "menu"}
    again = house.ingest([made / "papers"])
    assert (again.skipped, again.regrouped) == (3, 0)
    assert groups(house)["pay"] == ("staff",)
    kinds = [leaf for leaf in house.ledger.leaves() if leaf.kind == "groups.changed"]
    assert [leaf.counts["documents"] for leaf in kinds] == [2]
    house.record()
    assert len([leaf for leaf in house.ledger.leaves() if leaf.kind == "groups.changed"]) == 1


def test_what_replaces_a_document_stays_in_its_groups(house: House, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("The harbour pilots owe the board nine euros. The board waits for it.")
    house.ingest([note], groups=["board"])
    note.write_text("The harbour pilots owe the board ten euros. The board waits for it.")
    assert house.ingest([note]).replaced == 1
    assert groups(house)["note"] == ("board",)
    document_id, count = rectify(house, house.shelf.known()[str(note)].document_id, "ten euros", "two euros", told)
    assert count == 1
    assert house.shelf.document(document_id).groups == ("board",)
    assert "note" in seen(house, member("board"))
    assert "note" not in seen(house, member("staff"))
    note.write_bytes(b"")  # it cannot be read any more: the version before stays, and follows
    assert house.ingest([note], groups=["staff"]).quarantined
    assert groups(house)["note"] == ("staff",)


def test_what_waits_in_quarantine_keeps_its_groups(house: House, tmp_path: Path) -> None:
    late = tmp_path / "late.txt"
    late.write_bytes(b"")
    house.ingest([late], groups=["staff"])
    assert house.shelf.quarantined()[str(late)].groups == ("staff",)
    house.ingest([late], groups=["board"])
    assert house.shelf.quarantined()[str(late)].groups == ("board",)
    assert assign(house, [str(tmp_path)], ["board", "audit"], told) == 0
    late.write_text("The late paper speaks of harbour pilots and of what they are paid.")
    assert house.ingest([late]).documents == 1
    assert groups(house)["late"] == ("audit", "board")
    assert "late" not in seen(house, member("staff"))


def test_a_near_duplicate_has_groups_of_its_own(house: House, tmp_path: Path) -> None:
    copy = tmp_path / "copy.txt"
    copy.write_text(PAY + "Aloud.")
    report = house.ingest([copy])
    assert [Path(repeat.of).stem for repeat in report.near_duplicates] == ["pay"]
    assert groups(house)["copy"] == ()
    assert seen(house, member("staff")) == {"copy", "rules", "menu"}


def test_a_copy_of_a_house_follows_its_groups(house: House, tmp_path: Path, made: Path) -> None:
    with House.create(tmp_path / "other", {"house.name": "other"}) as other:
        other.ingest_house(house)
        assert groups(other) == groups(house)
        assert seen(other, member("staff")) == {"rules", "menu"}
        assign(house, [str(made / "papers" / "staff")], ["board"], told)
        assert other.ingest_house(house).regrouped == 1
        assert seen(other, member("staff")) == {"menu"}


def test_a_backup_brings_groups_back_as_they_were_last(house: House, tmp_path: Path, made: Path) -> None:
    folder, keys = tmp_path / "backup", tmp_path / "keys.json"
    backup(house, folder, keys, progress=told)
    assign(house, [str(made / "papers" / "staff")], ["board"], told)
    assign(house, [str(made / "papers" / "board")], [], told)
    backup(house, folder, keys, progress=told)  # into the same folder: documents' own units are not written again
    restore(folder, keys, tmp_path / "new", check=lambda _: None, progress=told)
    with open_house(tmp_path / "new") as new:
        assert groups(new) == groups(house) == {"pay": (), "rules": ("board",), "menu": ()}
        assert seen(new, member("staff")) == {"pay", "menu"}
        assign(new, [str(made / "papers" / "board")], ["board"], told)
        assert seen(new, member("staff")) == {"menu"}
        assert not new.ledger.verify()


def test_documents_are_named_by_id_source_or_folder(house: House, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pay = made / "papers" / "board" / "pay.txt"
    document_id = house.shelf.known()[str(pay)].document_id
    for target in (document_id, str(pay), str(pay.parent)):
        assert names([one.source for one in belonging(house, [target])]) == {"pay"}
    monkeypatch.chdir(made / "papers")
    assert names([one.source for one in belonging(house, ["board", "open"])]) == {"pay", "menu"}
    assert len(belonging(house)) == 3
    for target in ("boa", str(pay)[:-1], "nothing"):
        with pytest.raises(UsageError, match="no document is meant"):
            belonging(house, ["open", target])
    with pytest.raises(UsageError, match="no name of a group"):
        assign(house, [document_id], ["Board"], told)
    assert assign(house, [document_id], ["board"], told) == 0


def test_a_house_from_before_there_were_groups_is_everybody_s(root: Path, made: Path) -> None:
    with sqlite3.connect(root / "house" / "catalog.sqlite") as c:
        c.execute("DROP INDEX ix_documents_access")
        for table, column in (("documents", "access"), ("documents", "access_revision"), ("quarantine", "access")):
            c.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    current = root / "house" / "index" / "current.json"
    about = json.loads(current.read_text())
    current.write_text(json.dumps({**about, "embedder_digest": "0" * 64}))  # as the points were made then
    with open_house(root / "house") as house:
        assert groups(house) == {"pay": (), "rules": (), "menu": ()}
        assert seen(house, member()) == {"pay", "rules", "menu"}
        assert labels(house)[""] == house.stats().chunks
        assign(house, [str(made / "papers" / "board")], ["board"], told)
        assert seen(house, member()) == {"rules", "menu"}
    with sqlite3.connect(root / "house" / "catalog.sqlite") as c:
        assert c.execute("SELECT count(*) FROM sqlite_master WHERE name = 'ix_documents_access'").fetchone() == (1,)


def freehold(*arguments: str, house: Path, kill_at: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from freehold.cli.main import main; main()", "--house", str(house), *arguments]
    environment = {**os.environ, KILL_AT: kill_at}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)


def run_json(*arguments: str, house: Path) -> Any:
    result = freehold(*arguments, "--json", house=house)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


STEPS = ("catalog.before_commit", "catalog.committed", "sync.compared", "index.inserted", "index.before_swap")


@pytest.mark.parametrize("kill_at", STEPS)
def test_kill_while_groups_change(root: Path, made: Path, kill_at: str) -> None:
    """The board's paper goes to the staff. Whoever looks after a kill sees it as it was or as it is to be."""
    paper = str(made / "papers" / "board")
    killed = freehold("access", "set", paper, "--group", "staff", house=root / "house", kill_at=kill_at)
    in_child = kill_at == "index.inserted" and killed.returncode == 70
    assert in_child or killed.returncode == -signal.SIGKILL, killed.stderr
    with open_house(root / "house") as house:
        now = groups(house)["pay"]
        assert now == (("board",) if kill_at == "catalog.before_commit" else ("staff",))
        assert ("pay" in seen(house, member("board"))) == (now == ("board",))
        assert ("pay" in seen(house, member("staff"))) == (now == ("staff",))
        assert "pay" not in seen(house, member())
        house.record()
        leaves = [leaf for leaf in house.ledger.leaves() if leaf.kind == "groups.changed"]
        assert len(leaves) == (now == ("staff",))
    again = freehold("access", "set", paper, "--group", "staff", house=root / "house")
    assert again.returncode == 0, again.stderr
    with open_house(root / "house") as house:
        assert seen(house, member("staff")) == {"pay", "rules", "menu"}
        assert seen(house, member("board")) == {"rules", "menu"}
        assert labels(house)["board"] == 0


def test_the_command_line(root: Path, made: Path, tmp_path: Path) -> None:
    house, board = root / "house", str(made / "papers" / "board")
    shown = run_json("access", "show", house=house)["documents"]
    assert {Path(one["source"]).stem: one["groups"] for one in shown} == {
        "pay": ["board"],
        "rules": ["board", "staff"],
        "menu": [],
    }
    for as_group, theirs in (((), {"pay", "rules", "menu"}), (("staff",), {"rules", "menu"}), (("nobody",), {"menu"})):
        options = [word for name in as_group for word in ("--as-group", name)]
        hits = run_json("search", PILOTS, *options, house=house)["hits"]
        assert names([hit["source"] for hit in hits]) == theirs
        answer = run_json("ask", PILOTS, *options, house=house)
        assert names([citation["source"] for citation in answer["citations"]]) <= theirs
    assert run_json("access", "set", board, "--everybody", house=house) == {"changed": 1}
    assert run_json("access", "set", board, "--group", "audit", "--group", "staff", house=house) == {"changed": 1}
    assert run_json("access", "show", board, house=house)["documents"][0]["groups"] == ["audit", "staff"]
    report = run_json("ingest", board, "--group", "board", house=house)
    assert (report["skipped"], report["regrouped"]) == (1, 1)
    assert "everybody" in freehold("access", "show", house=house).stdout
    for wrong in (
        ("access", "set", board),
        ("access", "set", "--group", "staff"),
        ("access", "set", board, "--group", "a", "--everybody"),
        ("access", "set", board, "--group", "No Name"),
        ("search", PILOTS, "--as-group", "No Name"),
        ("ingest", board, "--group", "No Name"),
    ):
        result = freehold(*wrong, house=house)
        assert result.returncode == 2, result.stderr
        assert "Traceback" not in result.stderr


def test_what_there_is_of_what_one_sees(house: House) -> None:
    whole, theirs = house.shelf.stats(), house.shelf.stats(member("staff"))
    assert (whole.documents, theirs.documents) == (3, 2)
    assert 0 < theirs.chunks < whole.chunks
    assert theirs.quarantined == 0
    (rules,) = (known.document_id for source, known in house.shelf.known().items() if Path(source).stem == "rules")
    house.shelf.restrict([rules], "a request")
    assert house.shelf.stats(member("staff")).documents == 1
