"""All that a house keeps bytes about people in, each as a ``Holder``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from freehold.backup import forget_models, orphaned
from freehold.core.erasure import Holder, Holding, Level, Target
from freehold.core.errors import EndpointFault, EngineFault, HouseBusy, StorageFault
from freehold.core.files import GONE, rewrite, shred, shred_tree
from freehold.core.ids import new_id
from freehold.core.shelf import Changes, Quarantined
from freehold.core.training import Manifest, ModelVersion
from freehold.erasing.left import ERASED, is_about, is_of, names_any, resealed, rewritten, without
from freehold.erasing.logged import speaking
from freehold.house import TUNING, House
from freehold.indexes import EMBEDDED, SERVED
from freehold.journeys.examples import root_of
from freehold.journeys.ingest import Progress
from freehold.key_files import KEYS
from freehold.store import watch
from freehold.store.jobs import Jobs
from freehold.store.lock import writer_lock
from freehold.store.made_from import documents_of
from freehold.store.shelf import HouseShelf
from freehold.store.traffic import FILE as TRAFFIC
from freehold.store.traffic import TrafficLog
from freehold.store.training import TrainingFolder, read_manifest
from freehold.store.vault import Vault
from freehold.store.watch import FILE as WATCH
from freehold.tuning import tracking
from freehold.tuning.candidate import WORK
from freehold.tuning.sets import TRAINING

WAIT = "end the processes that read the house, or wait for them, and run the command again"


def holders_of(house: House, progress: Progress) -> tuple[Holder, ...]:
    """All of a house, in the order in which they forget: what others are made from first, the keys before the bytes."""
    return (
        BackupsHolder(house),
        CatalogHolder(house),
        KeysHolder(house),
        OriginalsHolder(house),
        IndexHolder(house, progress),
        WatchHolder(house),
        TrafficHolder(house),
        TrainingHolder(house),
        ExperimentsHolder(house),
        SearchesHolder(house),
        UploadsHolder(house),
        *((TrackingHolder(house),) if house.settings.tracking.kind == "mlflow" else ()),
        ModelsHolder(house, progress),
    )


def known_holdings(holder: Holder, target: Target) -> Sequence[Holding]:
    """What a holder keeps; nothing is known of one on a server that cannot be reached, and of an index that cannot be
    read: it is made anew from the catalog.
    """
    try:
        return holder.holdings(target)
    except EndpointFault:
        return ()
    except (EngineFault, StorageFault):
        if holder.name != IndexHolder.name:
            raise
        return ()


def databases(house: House) -> dict[str, HouseShelf | Vault | TrafficLog]:
    """Name of the file -> each database that rows of documents are in."""
    return {"catalog.sqlite": house.shelf, "vault.sqlite": house.shelf.vault, TRAFFIC: house.traffic}


def write_anew(database: HouseShelf | Vault | TrafficLog) -> None:
    """Write a database without what SQLite left where it moved rows. Raises HouseBusy while one reads an old state."""
    if not database.write_anew():
        raise HouseBusy("a reader holds an old state of a database, which cannot be overwritten yet", hint=WAIT)


class _Held:
    """What holders over a house share."""

    name: str
    level: Level = "physical"

    def __init__(self, house: House) -> None:
        self._house = house

    def _told(self, kind: str, ids: Collection[str]) -> list[Holding]:
        return [Holding(self.name, kind, id) for id in sorted(ids)]


class CatalogHolder(_Held):
    """Texts, chunks, vectors, token codes and signatures: the record, and the cache of embeddings that it is."""

    name = "catalog"

    def holdings(self, target: Target) -> Sequence[Holding]:
        shelf = self._house.shelf
        kept = shelf.present(target.documents)
        quarantined = [source for source, q in shelf.quarantined().items() if _names(q, target)]
        return [*self._told("document", kept), *self._told("quarantined", [str(at) for at in range(len(quarantined))])]

    def erase(self, target: Target) -> None:
        shelf = self._house.shelf
        remove = shelf.present(target.documents)
        release = [source for source, q in shelf.quarantined().items() if _names(q, target)]
        if remove or release:
            shelf.commit(Changes(remove=sorted(remove), release=release))
        if not shelf.truncate():
            raise HouseBusy("a reader holds an old state of the catalog, which cannot be overwritten yet", hint=WAIT)

    def files(self) -> Iterator[Path]:
        yield from sorted(self._house.root.glob("catalog.sqlite*"))


class KeysHolder(_Held):
    """The documents' keys, under which their originals lie sealed, here and in every copy of the blobs."""

    name = "keys"

    def holdings(self, target: Target) -> Sequence[Holding]:
        return self._told("key", self._house.shelf.vault.present(target.documents))

    def erase(self, target: Target) -> None:
        vault = self._house.shelf.vault
        vault.destroy(sorted(vault.present(target.documents)))
        if not vault.truncate():
            raise HouseBusy("a reader holds an old state of the vault, which cannot be overwritten yet", hint=WAIT)

    def files(self) -> Iterator[Path]:
        yield from sorted(self._house.root.glob("vault.*"))


class OriginalsHolder(_Held):
    """The files as they came in, sealed."""

    name = "originals"

    def holdings(self, target: Target) -> Sequence[Holding]:
        return self._told("original", self._house.shelf.blobs.present(target.documents))

    def erase(self, target: Target) -> None:
        for holding in self.holdings(target):
            self._house.shelf.blobs.delete(holding.id)

    def files(self) -> Iterator[Path]:
        yield from _below(self._house.root / "blobs")


class IndexHolder(_Held):
    """All generations of all encoders' indexes: vectors and postings.

    On a server they are collections, and one that ever held a point of the person is dropped whole. What becomes of its
    files there, and of snapshots, is the server's: ``files`` gives only what the house notes of them.
    """

    name = "index"

    def __init__(self, house: House, progress: Progress) -> None:
        super().__init__(house)
        self._progress = progress
        if house.settings.index.kind == "qdrant":
            self.level = "logical"

    def holdings(self, target: Target) -> Sequence[Holding]:
        return self._told("point", self._house.indexes.present(target.chunks))

    def erase(self, target: Target) -> None:  # noqa: ARG002
        """Build the next generation without what is off the shelf, and remove all earlier ones.

        While the builder is waited for, keys and originals go that a killed ingest left: nobody knows whose.
        Raises HouseBusy where a reader holds an earlier one, EndpointFault where a server does not answer.
        """
        house = self._house
        if house.shelf.revision:
            house.sync_indexes(self._progress, meanwhile=house.shelf.sweep)
        else:
            house.shelf.sweep()
        held = house.indexes.sweep()
        if held:
            raise HouseBusy("a reader holds an earlier generation of the index", hint=WAIT, refs=held)

    def files(self) -> Iterator[Path]:
        yield from _below(self._house.root / EMBEDDED)
        yield from _below(self._house.root / SERVED)


class TrafficHolder(_Held):
    """The query log. A question that may speak of the person goes, however unsure that is: it is cheap to lose, and
    nobody knows any more who was meant. So does an answer made from an erased document, with its question and whatever
    was thought of it. Of a search for something else that showed one, that hit goes and the question stays.
    """

    name = "traffic"

    def holdings(self, target: Target) -> Sequence[Holding]:
        log = self._house.traffic
        shown = log.shown_at(target.documents)
        gone = {*speaking(log, target.finder), *(one.question_id for one in shown if one.kind != "search")}
        hits = {f"{one.question_id}/{one.rank}" for one in shown if one.question_id not in gone}
        return [*self._told("question", gone), *self._told("hit", hits)]

    def erase(self, target: Target) -> None:
        """Raises HouseBusy where a reader holds an old state."""
        self._house.traffic.forget(speaking(self._house.traffic, target.finder), target.documents)

    def files(self) -> Iterator[Path]:
        yield from sorted(self._house.root.glob(f"{TRAFFIC}*"))


class WatchHolder(_Held):
    """What the watch for drift remembers: ids of questions and documents as examples. It comes before the query log,
    of which it asks which questions speak of the person; the next look drops what has gone from there otherwise.
    """

    name = "watch"

    def holdings(self, target: Target) -> Sequence[Holding]:
        return self._told("example", self._gone(target))

    def erase(self, target: Target) -> None:
        shred(self._house.root / f".{WATCH}{GONE}")
        watch.forget(self._house.root, self._gone(target))

    def _gone(self, target: Target) -> set[str]:
        named, log = watch.named(watch.read(self._house.root)), self._house.traffic
        if not named:
            return set()
        answers = {one.question_id for one in log.shown_at(target.documents) if one.kind != "search"}
        return named & {*target.documents, *answers, *speaking(log, target.finder)}

    def files(self) -> Iterator[Path]:
        yield from sorted(self._house.root.glob(f"{WATCH}*"))


class TrainingHolder(_Held):
    """Training sets: questions, ids of passages, and the salts that seal them. A question that is about the person, or
    that only erased documents answered, goes; of the others goes what they should not be confused with.
    """

    name = "training"

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self._sets = TrainingFolder(house.root / TRAINING)

    def holdings(self, target: Target) -> Sequence[Holding]:
        found = [e.id for name in self._sets.names() for e in self._sets.get(name).examples if is_of(e, target)]
        return [*self._told("example", found), *self._told("manifest", self.stale(target))]

    def stale(self, target: Target) -> list[str]:
        """Names of the sets whose manifest holds an erased document, or with an example that goes."""
        return [name for name in self._sets.names() if self._is_stale(name, target)]

    def _is_stale(self, name: str, target: Target) -> bool:
        if _speaks_of(self._sets.manifest(name), target):
            return True
        return target.finder is not None and names_any(self._sets.get(name).examples, target)

    def roots(self, target: Target) -> frozenset[str]:
        """Seals of those sets, by which the versions that learned from them are known."""
        return frozenset(self._sets.manifest(name).root for name in self.stale(target))

    def erase(self, target: Target) -> None:
        self._sets.clear()
        for leftover in (self._house.root / TRAINING).glob(f"*/*{GONE}"):
            shred(leftover)
        for name in self._sets.names():
            kept = self._sets.get(name)
            stay = [left for example in kept.examples if (left := without(example, target))]
            if not stay:
                self._sets.remove(name)
            elif stay != list(kept.examples) or kept.manifest.root != root_of(stay):
                self._sets.rewrite(name, resealed(kept.manifest, stay), stay)

    def files(self) -> Iterator[Path]:
        yield from _below(self._house.root / TRAINING)


class ExperimentsHolder(_Held):
    """Rankings name documents by the names under which they came in."""

    name = "experiments"

    def holdings(self, target: Target) -> Sequence[Holding]:
        found = {path.parent.parent.name for path in self._runs() if rewritten(path, target) is not None}
        return self._told("experiment", found)

    def erase(self, target: Target) -> None:
        self._house.experiments.clear()
        for leftover in (self._house.root / "experiments").glob(f"*/runs/*{GONE}"):
            shred(leftover)
        for path in self._runs():
            text = rewritten(path, target)
            if text is not None:
                rewrite(path, text.encode())

    def _runs(self) -> list[Path]:
        return sorted((self._house.root / "experiments").glob("*/runs/*.run"))

    def files(self) -> Iterator[Path]:
        yield from _below(self._house.root / "experiments")


class SearchesHolder(_Held):
    """Searches over settings: copies of documents in trial houses, weights and optimiser states of what is in training.

    Whatever was made from an erased document goes, and is made again when the search goes on.
    """

    name = "searches"

    def holdings(self, target: Target) -> Sequence[Holding]:
        return self._told("work", {place.relative_to(self._top).as_posix() for place in self._places(target)})

    def erase(self, target: Target) -> None:
        for place in self._places(target):
            with writer_lock(place.parent):
                shred_tree(self._out_of_sight(place))

    def _out_of_sight(self, place: Path) -> Path:
        """Where a training that goes on finds it no more, and can write nothing beside what is being overwritten."""
        return place.rename(place.with_name(f".{new_id()}")) if place.parent.name == WORK else place

    def _places(self, target: Target) -> list[Path]:
        found = sorted(path for path in (*self._top.glob("*/houses"), *self._top.glob(f"{WORK}/*")) if path.is_dir())
        made_from = ((place, documents_of(place)) for place in found if any(place.rglob("*")))
        return [place for place, ids in made_from if ids is None or not target.documents.isdisjoint(ids)]

    @property
    def _top(self) -> Path:
        return self._house.root / TUNING

    def files(self) -> Iterator[Path]:
        yield from _below(self._house.root / TUNING)


class UploadsHolder(_Held):
    """Files that were sent to the service and are being read: open for as long as that takes, sealed before it.

    Whose they are nobody knows before they are read, so for a person all that lie open go; they are opened again from
    what is sealed, read, and refused then where they speak of somebody who was erased.
    """

    name = "uploads"

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self._jobs = Jobs(house.root, house.shelf.vault)

    def holdings(self, target: Target) -> Sequence[Holding]:
        return self._told("upload", self._jobs.opened() if target.finder else ())

    def erase(self, target: Target) -> None:
        """Whoever reads them is the one writer; for us to be that, they must have been cut off."""
        self._jobs.clear()
        for holding in self.holdings(target):
            self._jobs.close_files(holding.id)

    def files(self) -> Iterator[Path]:
        yield from _below(self._house.root / "jobs")


class ModelsHolder(_Held):
    """Versions that learned from an erased document, with every form of their weights."""

    name = "models"

    def __init__(self, house: House, progress: Progress) -> None:
        super().__init__(house)
        self._progress = progress

    def holdings(self, target: Target) -> Sequence[Holding]:
        return self._told("model version", {version.id for version in self.tainted(target)})

    def tainted(self, target: Target) -> list[ModelVersion]:
        """The versions that learned from one of the documents, or from a question that is about the person.

        After the sets forgot, the latter are known by ``target.versions`` alone.
        """
        roots = TrainingHolder(self._house).roots(target)
        return [
            v
            for v in self._house.registry.all()
            if v.id in target.versions or v.manifest in roots or learned_from(self._house, v) & target.documents
        ]

    def erase(self, target: Target) -> None:
        """Take them out of service and overwrite them: what serves in their place is what the settings say.

        A version that is to be replaced by one trained without the documents is replaced before this is called.
        """
        house = self._house
        gone = {version.id for version in self.tainted(target)}
        for version_id in sorted(gone):
            if not house.registry.get(version_id).tainted:
                house.registry.taint(version_id, taint_note())
        house.stand_down(gone, self._progress)
        for version_id in sorted(gone):
            house.registry.remove(version_id)
        forget_models(house)
        house.registry.clear()

    def files(self) -> Iterator[Path]:
        yield from _below(self._house.root / "models")


class TrackingHolder(_Held):
    """Weights that were sent to MLflow: what was learned from an erased document is deleted there at once.

    Raises EndpointFault where its server cannot be reached. What lies below the files of a server is its own.
    """

    name = "tracking"

    def holdings(self, target: Target) -> Sequence[Holding]:
        return self._told("model version", tracking.sent(self._versions(target), **self._where()))

    def erase(self, target: Target) -> None:
        tracking.withdraw(self._versions(target), **self._where())

    def _versions(self, target: Target) -> set[str]:
        return {*target.versions} | {version.id for version in ModelsHolder(self._house, _silent).tainted(target)}

    def _where(self) -> dict[str, str]:
        part = self._house.settings.tracking
        return {"experiment": tracking.experiment_of(self._house), "uri": part.endpoint}

    def files(self) -> Iterator[Path]:
        folder = tracking.own_folder(self._house.settings.tracking.endpoint)
        yield from _below(folder) if folder else ()


class BackupsHolder(_Held):
    """Units of backups, which lie elsewhere: without their keys, here and in the key files, they are noise."""

    name = "backups"
    level: Level = "crypto"

    def holdings(self, target: Target) -> Sequence[Holding]:
        return self._told("key", self._names(target))

    def _names(self, target: Target) -> set[str]:
        vault = self._house.shelf.vault
        # A set that was rewritten or removed, an experiment that was rewritten: what the backup has of them is older.
        units = {f"documents/{document_id}" for document_id in target.documents} | self._changed(target)
        learned = {version.id for version in ModelsHolder(self._house, _silent).tainted(target)}
        units |= {f"models/{version}" for version in {*learned, *target.versions}}
        return orphaned(self._house) | vault.present([f"{KEYS}{unit}" for unit in units])

    def _changed(self, target: Target) -> set[str]:
        sets = TrainingHolder(self._house).stale(target)
        runs = {h.id for h in ExperimentsHolder(self._house).holdings(target)}
        return {f"training/{name}" for name in sets} | {f"experiments/{name}" for name in runs}

    def erase(self, target: Target) -> None:
        """Destroy the keys; see ``export_keys`` for the key files."""
        vault = self._house.shelf.vault
        vault.destroy(sorted(self._names(target)))
        if not vault.truncate():
            raise HouseBusy("a reader holds an old state of the vault, which cannot be overwritten yet", hint=WAIT)

    def files(self) -> Iterator[Path]:
        yield from sorted(self._house.root.glob("vault.*"))


def _silent(_stage: str, _done: int, _total: int) -> None:
    pass


def taint_note() -> str:
    """What a version is marked with: that it learned from what was erased, and since when that is known."""
    return f"{ERASED} {datetime.now(UTC).isoformat(timespec='seconds')}"


def learned_from(house: House, version: ModelVersion) -> frozenset[str]:
    """Ids of the documents that a version learned from, or was chosen by."""
    return frozenset(read_manifest(house.root / "models" / version.id).documents)


def _below(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file())


def _names(quarantined: Quarantined, target: Target) -> bool:
    return quarantined.source in target.sources or is_about(quarantined.source, target.finder)


def _speaks_of(manifest: Manifest, target: Target) -> bool:
    return not target.documents.isdisjoint(manifest.documents)
