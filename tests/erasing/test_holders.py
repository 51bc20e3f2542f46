"""Every holder of a house passes the suite that ships for the port."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from practice import ANNA

from freehold.backup import backup
from freehold.core.erasure import Holder, Target
from freehold.core.ids import canonical_json, new_id
from freehold.core.shelf import Changes
from freehold.core.traffic import Asked, Feedback, Shown
from freehold.core.training import Example, Manifest, ModelVersion
from freehold.core.watch import Alarm, Watch
from freehold.core.watch import Example as Named
from freehold.erasing import holders
from freehold.house import House, open_house
from freehold.journeys.examples import root_of
from freehold.privacy.subjects import open_finder, parse_subject
from freehold.store import watch
from freehold.store.folders import write_record
from freehold.store.jobs import Jobs
from freehold.store.made_from import note_documents
from freehold.store.registry import digest_of, digests
from freehold.store.traffic import TrafficLog
from freehold.store.training import FORMAT, TrainingFolder, read_manifest
from freehold.testing.holder import HolderCase
from freehold.tuning import tracking

MADE_AT = "2026-01-01T00:00:00+00:00"
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
            return sorted(house.indexes.present(house.shelf.chunk_ids() - self.target(root).chunks))


class TestTraffic(HouseHolderCase):
    kind = holders.TrafficHolder
    steps = ("traffic.before_forget", "traffic.forgotten")

    def add(self, house: House, root: Path) -> None:
        log = TrafficLog(house.root, house.shelf, queries=True, answers=True)
        at = datetime(2026, 11, 26, tzinfo=UTC)
        for wanted, word in ((self.gone, "kettle"), (lambda name: not self.gone(name), "other")):
            for document in sorted(self.documents(root, wanted)):
                hit = Shown(1, document, new_id())
                answer = Asked(new_id(), at, "ask", f"{word} question", (hit,), answer=f"{word} answer {document}")
                search = Asked(new_id(), at, "search", f"any question, {word} shown", (hit,))
                votes = [Feedback(one.id, "up", at, hit.chunk_id, voter=f"{word} voter") for one in (answer, search)]
                assert log.put([answer, search, *votes]) == 4
        log.close()

    def traces(self, root: Path) -> Sequence[bytes]:
        gone = self.target(root).documents
        with open_house(root / "house") as house:
            hits = {hit.chunk_id or "" for one in house.traffic.all() for hit in one.shown if hit.document_id in gone}
        texts = [b"kettle question", b"kettle voter", *(f"kettle answer {id}".encode() for id in gone)]
        return [*texts, *(chunk_id.encode() for chunk_id in hits)]

    def rest(self, root: Path) -> object:
        with open_house(root / "house") as house:
            asked = [one for one in house.traffic.all() if "kettle question" not in one.text]
            rest = [event for event in house.traffic.feedback() if event["person"] == "other voter"]
        gone = self.target(root).documents
        hits = [[hit for hit in one.shown if hit.document_id not in gone] for one in asked]
        return [(one.id, one.text, one.answer, shown) for one, shown in zip(asked, hits, strict=True)], rest

    def test_a_search_for_something_else_stays_without_its_hit(self, tmp_path: Path) -> None:
        """What was asked is nobody's; what was shown of the one to forget is."""
        self.furnish(tmp_path)
        with self.open(tmp_path) as holder:
            kinds = {holding.kind for holding in holder.holdings(self.target(tmp_path))}
            holder.erase(self.target(tmp_path))
        assert kinds == {"question", "hit"}
        with open_house(tmp_path / "house") as house:
            assert {one.text for one in house.traffic.all() if not one.shown} == {"any question, kettle shown"}


class TestWatch(HouseHolderCase):
    kind = holders.WatchHolder
    steps = ("watch.forgotten",)

    def add(self, house: House, root: Path) -> None:
        log = TrafficLog(house.root, house.shelf, queries=True, answers=True)
        at = datetime(2026, 11, 26, tzinfo=UTC)
        examples = [Named("canary", "line-1")]
        for wanted in (self.gone, lambda name: not self.gone(name)):
            for document in sorted(self.documents(root, wanted)):
                answer = Asked(new_id(), at, "ask", "a question", (Shown(1, document, new_id()),), answer="an answer")
                log.put([answer])
                examples += [Named("document", document), Named("question", answer.id)]
                if wanted == self.gone:
                    (root / f"gone-{answer.id}").touch()
        log.close()
        alarm = Alarm(new_id(), "questions", at.isoformat(), at.isoformat(), "moved", tuple(examples), ())
        watch.write(house.root, Watch(looked=at.isoformat(), alarms=(alarm,)))

    def traces(self, root: Path) -> Sequence[bytes]:
        named = [("question", id) for id in self.answers(root)] + [
            ("document", id) for id in self.target(root).documents
        ]
        return [canonical_json({"id": id, "kind": kind}).encode() for kind, id in named]

    def answers(self, root: Path) -> list[str]:
        return [path.name.removeprefix("gone-") for path in root.glob("gone-*")]

    def rest(self, root: Path) -> object:
        gone = {*self.answers(root), *self.target(root).documents}
        (alarm,) = watch.read(root / "house").alarms
        return [one for one in alarm.examples if one.id not in gone]


class TestTraining(HouseHolderCase):
    kind = holders.TrainingHolder
    steps = ("training.rewritten",)

    def add(self, house: House, root: Path) -> None:
        anna, others = (sorted(self.documents(root, wanted)) for wanted in (self.gone, lambda n: not self.gone(n)))
        examples = [self._example(f"kettle question {d}", d) for d in anna]
        # What others are not to be confused with is hers: it goes, and their question stays.
        hers = sorted(house.shelf.chunks_of(anna[:1]))
        examples += [self._example(f"other question {d}", d, anna[0], *hers) for d in others]
        manifest = Manifest(
            root_of(examples), {"train": len(examples)}, tuple(sorted([*anna, *others])), {"import": len(examples)},
            "given", "", (), 1, "", 0, "2026-01-01T00:00:00+00:00",
            settings={"identity": "x"},
        )  # fmt: skip
        TrainingFolder(root / "house" / "training").put("set", manifest, examples)

    def _example(self, query: str, document: str, other: str = "", *negatives: str) -> Example:
        documents = tuple(sorted(filter(None, (document, other))))
        return Example(new_id(), query, (new_id(),), negatives, documents, "import", "train", "00" * 16)

    def traces(self, root: Path) -> Sequence[bytes]:
        return [b"kettle question"]

    def rest(self, root: Path) -> object:
        kept = TrainingFolder(root / "house" / "training").get("set")
        return sorted((one.query, one.positives) for one in kept.examples if one.query.startswith("other"))

    def test_what_a_question_was_not_to_be_confused_with_goes_and_the_question_stays(self, tmp_path):
        self.furnish(tmp_path)
        target, sets = self.target(tmp_path), TrainingFolder(tmp_path / "house" / "training")
        before = {one.id: one for one in sets.get("set").examples if one.query.startswith("other")}
        assert all(set(one.negatives) & target.chunks for one in before.values())
        with self.open(tmp_path) as holder:
            holder.erase(target)
        kept = sets.get("set").examples
        assert {one.id for one in kept} == before.keys()
        for one in kept:
            assert one.positives == before[one.id].positives
            assert not {*one.negatives, *one.documents} & {*target.chunks, *target.documents}
            assert one.salt != before[one.id].salt  # which would tell what is missing


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


class TestSearches(HouseHolderCase):
    kind = holders.SearchesHolder

    def add(self, house: House, root: Path) -> None:
        places = {
            "one/houses": self.gone,
            "work/adapter-1": self.gone,
            "two/houses": self.stays,
            "work/two": self.stays,
        }
        for name, wanted in places.items():
            place = root / "house" / "tuning" / name
            (place / "deep").mkdir(parents=True)
            (place / "deep" / "copy.txt").write_text(f"weights and words of {name}")
            note_documents(place, self.documents(root, wanted))

    def stays(self, name: str) -> bool:
        return not self.gone(name)

    def traces(self, root: Path) -> Sequence[bytes]:
        return [b"words of one/houses", b"words of work/adapter-1"]

    def rest(self, root: Path) -> object:
        top = root / "house" / "tuning"
        return {name: (top / name / "deep" / "copy.txt").read_text() for name in ("two/houses", "work/two")}

    def test_what_is_made_from_nobody_knows_what_goes(self, tmp_path: Path) -> None:
        """As an earlier version of Freehold left it."""
        self.furnish(tmp_path)
        (tmp_path / "house" / "tuning" / "work" / "two" / "made-from.json").unlink()
        with self.open(tmp_path) as holder:
            assert "work/two" in {holding.id for holding in holder.holdings(self.target(tmp_path))}


class TestUploads(HouseHolderCase):
    kind = holders.UploadsHolder

    def add(self, house: House, root: Path) -> None:
        jobs = Jobs(house.root, house.shelf.vault)
        jobs.add("ingest", {}, files=[("waits.txt", b"the waiting paper")])
        jobs.open_files(jobs.add("ingest", {}, files=[("letter.txt", b"the shutters of Anna Keller")]))

    def target(self, root: Path) -> Target:
        return replace(super().target(root), finder=open_finder(parse_subject([("name", "Anna Keller")])))

    def traces(self, root: Path) -> Sequence[bytes]:
        return [b"shutters of Anna"]

    def rest(self, root: Path) -> object:
        return sorted(path.read_bytes() for path in (root / "house" / "jobs").glob("*/sealed/*"))


class TestModels(HouseHolderCase):
    kind = holders.ModelsHolder
    steps = ()

    def add(self, house: House, root: Path) -> None:
        for name, wanted in (("anna", self.gone), ("others", lambda name: not self.gone(name))):
            keep_version(house, root, name, sorted(self.documents(root, wanted)))

    def traces(self, root: Path) -> Sequence[bytes]:
        return [b"weights of anna", b"optimiser of anna"]

    def rest(self, root: Path) -> object:
        files = sorted((root / "house" / "models").glob("*/*.safetensors"))
        return [path.read_bytes() for path in files if b"others" in path.read_bytes()]


class TestTracking(TestModels):
    kind = holders.TrackingHolder

    def add(self, house: House, root: Path) -> None:
        pytest.importorskip("mlflow")
        super().add(house, root)
        settings = root / "house" / "freehold.toml"
        told_to = f'[tracking]\nkind = "mlflow"\nendpoint = "{root / "runs"}"'
        settings.write_text(settings.read_text().replace("[tracking]", told_to, 1))
        for version in house.registry.all():
            folder = house.registry.folder(version.id)
            manifest = read_manifest(folder)
            place = {"experiment": tracking.experiment_of(house), "uri": str(root / "runs")}
            tracking.track(version, manifest, folder=folder, artefacts=True, **place)

    def rest(self, root: Path) -> object:
        files = sorted((root / "runs").rglob("*.safetensors"))
        return [path.read_bytes() for path in files if b"others" in path.read_bytes()]

    def test_no_byte_stays(self, tmp_path: Path) -> None:
        """In what was sent; the versions in the house are the models' holder's."""
        self.furnish(tmp_path)
        target = self.target(tmp_path)
        with self.open(tmp_path) as holder:
            assert any(b"weights of anna" in path.read_bytes() for path in holder.files())
            holder.erase(target)
            assert list(holder.files())
            assert not any(b"of anna" in path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file())


def keep_version(house: House, root: Path, name: str, documents: Sequence[str]) -> None:
    """A version that learned from these documents, with its weights and the state of its optimiser."""
    made = root / f"made-{name}"
    made.mkdir()
    (made / "adapter.safetensors").write_text(f"weights of {name}")
    (made / "optimiser.safetensors").write_text(f"optimiser of {name}")
    manifest = Manifest(
        "ab" * 32, {"train": 1}, tuple(documents), {"import": 1}, "given", "cd" * 32, (), 1, "", 0, MADE_AT
    )  # fmt: skip
    write_record(made / "manifest.json", manifest, version=FORMAT)
    files = digests(made)
    version = ModelVersion(
        id=new_id(), role="adapter", kind="residual", base="x", base_digest="", bound=True, manifest="ab" * 32, seed=1,
        settings={}, serving={}, metrics=(), baseline=(), comparisons=(), checks={}, files=files,
        digest=digest_of(files), created=MADE_AT, seconds=0.0, versions={},
    )  # fmt: skip
    house.registry.put(version, made)


del HolderCase, HouseHolderCase  # what they say is said of each holder
