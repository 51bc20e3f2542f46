"""Every holder of a house passes the suite that ships for the port."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from practice import ANNA

from freehold.backup import backup
from freehold.core.erasure import Holder, Target
from freehold.core.ids import new_id
from freehold.core.shelf import Changes
from freehold.core.training import Example, Manifest
from freehold.erasing import holders
from freehold.house import House, open_house
from freehold.journeys.examples import root_of
from freehold.store.training import TrainingFolder
from freehold.testing.holder import HolderCase

TEMPLATE: dict[str, Path] = {}


@pytest.fixture(scope="module", autouse=True)
def template(made: Path) -> None:
    TEMPLATE["house"] = made


class HouseHolderCase(HolderCase):
    """Over the practice: Anna's papers are to be forgotten."""

    kind: type[holders._Held]

    def furnish(self, root: Path) -> None:
        shutil.copytree(TEMPLATE["house"], root / "house")
        with open_house(root / "house") as house:
            self.add(house, root)
        (root / "target").write_text("\n".join(sorted(self.documents(root / "house", self.gone))))

    def add(self, house: House, root: Path) -> None:
        """What the holder keeps besides what an ingest leaves."""

    def gone(self, name: str) -> bool:
        return name in ANNA

    def documents(self, path: Path, wanted) -> set[str]:
        with open_house(TEMPLATE["house"]) as house:
            return {w.document_id for w in house.shelf.words() if wanted(Path(w.source).name)}

    @contextmanager
    def open(self, root: Path) -> Iterator[Holder]:
        with open_house(root / "house") as house:
            if self.kind in {holders.IndexHolder, holders.ModelsHolder}:
                yield self.kind(house, lambda *_: None)  # type: ignore[call-arg]
            else:
                yield self.kind(house)

    def target(self, root: Path) -> Target:
        ids = frozenset((root / "target").read_text().splitlines())
        with open_house(TEMPLATE["house"]) as house:
            chunks = frozenset(house.shelf.chunks_of(ids))
            sources = frozenset(w.source for w in house.shelf.words() if w.document_id in ids)
        return Target(ids, chunks, sources)

    def child(self) -> str:
        return (
            f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
            f"import test_holders\ncase = test_holders.{type(self).__name__}()"
        )


class TestCatalog(HouseHolderCase):
    kind = holders.CatalogHolder
    steps = ("catalog.before_commit", "catalog.committed", "vault.destroyed", "blobs.removed")

    def traces(self, root: Path) -> Sequence[bytes]:
        return [b"kettle exploded at noon", b"DE89 3704 0044 0532"]

    def rest(self, root: Path) -> object:
        with open_house(root / "house") as house:
            return sorted((w.source, w.text) for w in house.shelf.words() if not self.gone(Path(w.source).name))


class TestKeys(HouseHolderCase):
    kind = holders.KeysHolder

    def traces(self, root: Path) -> Sequence[bytes]:
        return [wrapped for id, wrapped in self._keys(root).items() if id in self.target(root).documents]

    def rest(self, root: Path) -> object:
        gone = self.target(root).documents
        return {id: wrapped for id, wrapped in self._keys(root).items() if id not in gone}

    def _keys(self, root: Path) -> dict[str, bytes]:
        with sqlite3.connect(root / "house" / "vault.sqlite") as database:
            return dict(database.execute("SELECT document_id, wrapped FROM keys").fetchall())


class TestOriginals(HouseHolderCase):
    kind = holders.OriginalsHolder

    def traces(self, root: Path) -> Sequence[bytes]:
        return [data[:64] for id, data in self._blobs(root).items() if id in self.target(root).documents]

    def rest(self, root: Path) -> object:
        gone = self.target(root).documents
        return {id: data for id, data in self._blobs(root).items() if id not in gone}

    def _blobs(self, root: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (root / "house" / "blobs").glob("*/*")}


class TestIndex(HouseHolderCase):
    kind = holders.IndexHolder
    steps = ("index.before_swap", "index.after_swap")

    def add(self, house: House, root: Path) -> None:
        ids = self.documents(root, self.gone)
        (root / "vectors").write_bytes(b"".join(v[:24] for v in house.shelf.vectors_of(house.shelf.chunks_of(ids))))
        house.shelf.commit(Changes(remove=sorted(ids)))  # the index is behind

    def traces(self, root: Path) -> Sequence[bytes]:
        data = (root / "vectors").read_bytes()
        (root / "vectors").unlink()
        return [data[at : at + 24] for at in range(0, len(data), 24)]

    def rest(self, root: Path) -> object:
        with open_house(root / "house") as house:
            return sorted(house.indexes.points() - self.target(root).chunks)


class TestTraining(HouseHolderCase):
    kind = holders.TrainingHolder
    steps = ("training.rewritten",)

    def add(self, house: House, root: Path) -> None:
        anna, others = (sorted(self.documents(root, wanted)) for wanted in (self.gone, lambda n: not self.gone(n)))
        examples = [self._example(f"kettle question {d}", d) for d in anna]
        examples += [self._example(f"other question {d}", d) for d in others]
        manifest = Manifest(
            root_of(examples), {"train": len(examples)}, tuple(sorted([*anna, *others])), {"import": len(examples)},
            "given", "", (), 1, "", 0, "2026-01-01T00:00:00+00:00",
            settings={"identity": "x"},
        )  # fmt: skip
        TrainingFolder(root / "house" / "training").put("set", manifest, examples)

    def _example(self, query: str, document: str) -> Example:
        return Example(new_id(), query, (new_id(),), (), (document,), "import", "train", "00" * 16)

    def traces(self, root: Path) -> Sequence[bytes]:
        return [b"kettle question"]

    def rest(self, root: Path) -> object:
        kept = TrainingFolder(root / "house" / "training").get("set")
        return sorted(example.query for example in kept.examples if example.query.startswith("other"))


class TestExperiments(HouseHolderCase):
    kind = holders.ExperimentsHolder

    def add(self, house: House, root: Path) -> None:
        runs = root / "house" / "experiments" / new_id() / "runs"
        runs.mkdir(parents=True)
        sources = [w.source for w in house.shelf.words()]
        lines = [f"q1 Q0 {source} {rank} {1 / rank:.3f} hybrid\n" for rank, source in enumerate(sorted(sources), 1)]
        (runs / "hybrid.run").write_text("".join(lines))

    def traces(self, root: Path) -> Sequence[bytes]:
        with open_house(TEMPLATE["house"]) as house:
            return [w.source.encode() for w in house.shelf.words() if self.gone(Path(w.source).name)]

    def rest(self, root: Path) -> object:
        run = next((root / "house").glob("experiments/*/runs/*.run")).read_text().splitlines()
        return [line for line in run if "erased" not in line and not any(name in line for name in ANNA)]

    @contextmanager
    def open(self, root: Path) -> Iterator[Holder]:
        for name in ("catalog.sqlite", "vault.sqlite", "vault.key"):
            for path in (root / "house").glob(f"{name}*"):
                path.unlink()
        with open_house(root / "house") as house:
            yield self.kind(house)


class TestBackups(HouseHolderCase):
    kind = holders.BackupsHolder

    def add(self, house: House, root: Path) -> None:
        backup(house, root / "backup", root / "keys.json", progress=lambda *_: None)
        (root / "keys.json").unlink()  # the walk brings key files up to date; the holder is the vault

    def traces(self, root: Path) -> Sequence[bytes]:
        with sqlite3.connect(root / "house" / "vault.sqlite") as database:
            rows = dict(database.execute("SELECT document_id, wrapped FROM keys").fetchall())
        return [rows[f"backup:documents/{id}"] for id in self.target(root).documents]

    def rest(self, root: Path) -> object:
        with sqlite3.connect(root / "house" / "vault.sqlite") as database:
            rows = dict(database.execute("SELECT document_id, wrapped FROM keys").fetchall())
        gone = {f"backup:documents/{id}" for id in self.target(root).documents}
        return {name: wrapped for name, wrapped in rows.items() if name not in gone}


del HolderCase, HouseHolderCase  # what they say is said of each holder
