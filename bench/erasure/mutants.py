"""Each step of erasing turned off by itself: what notices?"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from unittest import mock

import oracle
import town as towns
from houses import decided, learn, made, silent

from freehold.core.errors import FreeholdError
from freehold.erasing import erase as erasing
from freehold.erasing import holders, walk
from freehold.erasing.verify import verify
from freehold.erasing.walk import Orders
from freehold.house import open_house
from freehold.privacy.subjects import parse_subject


@contextmanager
def off(target: object, name: str, instead: Callable[..., object] = lambda *_, **__: None):
    with mock.patch.object(target, name, instead):
        yield


def mutants() -> dict[str, Callable[[], object]]:
    """A step of erasing turned off, each by itself."""
    from freehold.index import generations
    from freehold.store import catalog, vault
    from freehold.store.blobs import Blobs
    from freehold.store.fence import HouseFence

    nothing = lambda *_, **__: None  # noqa: E731
    return {
        "database log not emptied": lambda: _both(
            off(catalog, "truncate_log", lambda _: True), off(vault, "truncate_log", lambda _: True)
        ),
        "deleted rows not overwritten": lambda: off(catalog.Catalog, "commit", _insecure(catalog.Catalog.commit)),
        "fence not put up": lambda: _both(off(HouseFence, "put_subject"), off(HouseFence, "put_documents")),
        "index not brought up": lambda: off(holders.IndexHolder, "erase", nothing),
        "old generation left": lambda: off(generations.Generations, "_sweep", lambda _: ()),
        "original left": lambda: _both(off(Blobs, "delete", nothing), off(Blobs, "sweep", nothing)),
        "key left": lambda: off(vault.Vault, "destroy", nothing),
        "training set left": lambda: off(holders.TrainingHolder, "erase", nothing),
        "experiment left": lambda: off(holders.ExperimentsHolder, "erase", nothing),
        "copies and optimiser states of searches left": lambda: off(holders.SearchesHolder, "erase", nothing),
        "query log left": lambda: off(holders.TrafficHolder, "erase", nothing),
        "backup keys left": lambda: off(holders.BackupsHolder, "erase", nothing),
        "document only hidden": lambda: _both(
            off(walk, "put_instead", lambda *_, **__: {}), off(holders.CatalogHolder, "erase", nothing)
        ),
        "model not marked": lambda: off(walk, "taint", lambda *_, **__: {}),
        "model not trained again": lambda: off(erasing, "retrain", lambda *_, **__: []),
    }


@contextmanager
def _both(*contexts):
    with contexts[0], contexts[1]:
        yield


def _insecure(commit: Callable[..., bool]) -> Callable[..., bool]:
    def insecure(self, changes):
        with self._engine.connect() as c:
            c.exec_driver_sql("PRAGMA secure_delete = OFF")
        return commit(self, changes)

    return insecure


def caught(root: Path, seed: int) -> dict[str, str]:
    """Mutant -> what caught it: a probe of the certificate, the oracle, or nothing."""
    town = made(root, 30, seed)
    person = next(p for p in town.people if len(town.of(p.number)) > 2)
    stranded = root / "house" / "tuning" / "abc" / "houses"
    stranded.mkdir(parents=True)
    (stranded / "copy.txt").write_text(person.name)
    found = {}
    for name, mutant in {"none": lambda: off(oracle, "lost"), **mutants()}.items():
        if name.startswith("model"):  # which are the last: before, a model's evaluation would bring the index up
            learn(root)
        work = root / "mutant"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(root / "house", work)
        by = _by(work, town, person, mutant)
        left = oracle.residue(work, oracle.needles(person, town))
        found[name] = by + (f" (the oracle finds {len(left)} files)" if left else "")
        print(f"{name:45} {found[name]}", flush=True)
    return found


def _by(work: Path, town: towns.Town, person: towns.Person, mutant: Callable[[], AbstractContextManager[None]]) -> str:
    subject = parse_subject([("name", person.name), ("email", person.email)])
    failed: dict[str, None] = {}
    # What a search finds in a database that is behind is mended at once, and looked for again: not here.
    once = off(erasing, "_searched", lambda house, request, _, progress: verify(house, request, progress))
    with open_house(work) as house, once, mutant():
        asked = [case.document_id for case in walk.preview(house, subject, silent).cases if not case.decided]
        while True:
            orders = Orders(decisions=decided(house, town, person, asked), wait_s=0)
            try:
                outcome = erasing.erase(
                    house, subject, ground="17(1)(b)", orders=orders, retrain_models=True, progress=silent
                )
            except FreeholdError as error:  # a refusal to go on is a catch
                return f"stopped: {type(error).__name__}"
            # Of every call: the next one mends what this one found.
            failed |= dict.fromkeys(probe.id for probe in outcome.verified.probes if probe.verdict != "pass")
            asked = list(outcome.request.asked)
            if not asked:
                break
    verdict = outcome.certified.certificate.verdict
    return f"probes: {', '.join(failed)}" if failed else "nothing" if verdict == "COMPLETE" else f"verdict: {verdict}"
