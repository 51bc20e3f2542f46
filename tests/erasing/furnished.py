"""What a house has besides its papers: a model version, and a training set that it learned from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from freehold.core.ids import new_id
from freehold.core.training import Example, Manifest, ModelVersion
from freehold.house import House
from freehold.journeys.examples import root_of
from freehold.store.folders import write_record
from freehold.store.registry import digest_of, digests
from freehold.store.training import FORMAT, Kept, TrainingFolder

MADE_AT = "2026-01-01T00:00:00+00:00"


def document(house: House, name: str) -> str:
    return next(w.document_id for w in house.shelf.words() if w.source.endswith(name))


def keep_set(house: House, name: str, rows: Sequence[tuple[str, str]]) -> Kept:
    """A training set of (question, name of the paper that answers it)."""
    examples = []
    for query, paper in rows:
        id = document(house, paper)
        chunks = tuple(sorted(house.shelf.chunks_of([id])))
        examples.append(Example(new_id(), query, chunks, (), (id,), "import", "train", "ab" * 16))
    examples.sort(key=lambda example: example.id)
    documents = tuple(sorted({id for example in examples for id in example.documents}))
    manifest = Manifest(
        root_of(examples),
        {"train": len(examples)},
        documents,
        {"import": len(examples)},
        "given",
        "cd" * 32,
        (),
        1,
        "",
        0,
        MADE_AT,
        settings={"identity": name},
    )
    return TrainingFolder(house.root / "training").put(name, manifest, examples)


def keep_version(house: House, manifest: Manifest, *, serves: bool = False) -> ModelVersion:
    """A version of weights between the ways of searching, which learned from the set of the manifest."""
    id = new_id()
    made = house.root.parent / f"made-{id}"
    made.mkdir()
    (made / "fusion.json").write_text(json.dumps({"of": id}))
    write_record(made / "manifest.json", manifest, version=FORMAT)
    files = digests(made)
    version = ModelVersion(
        id=id,
        role="fusion",
        kind="weights",
        base="x",
        base_digest="",
        bound=False,
        manifest=manifest.root,
        seed=1,
        settings={},
        serving={},
        metrics=(),
        baseline=(),
        comparisons=(),
        checks={},
        files=files,
        digest=digest_of(files),
        created=MADE_AT,
        seconds=0.0,
        versions={},
    )
    house.registry.put(version, made)
    if serves:
        house.registry.switch({"fusion": id}, verb="promote")
    return version


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


def keys_in(key_file: Path) -> set[str]:
    return set(json.loads(key_file.read_text())["keys"])
