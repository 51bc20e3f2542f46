"""Training sets of a house: what is in them, that they come out the same, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from allotments import PLOTS, SPLITS, TOPICS, asked, beir, lease, questions, section, whole, write_lines

from freehold.core.errors import ModelNotFound, SettingsError, StorageFault, UsageError
from freehold.core.records import to_json
from freehold.core.training import Example
from freehold.house import House
from freehold.journeys.evaluate import checked_queries, retrieve
from freehold.journeys.examples import Chunks, labelled_pairs
from freehold.journeys.locate import locate
from freehold.journeys.negatives import Mining, mine
from freehold.measure.labels import read_labels
from freehold.tuning.data import ASKED_TWICE, NOT_TAKEN, Request, open_training, prepare
from freehold.tuning.sets import TrainingSet


def made(house: House, request: Request, *, pseudonymise: bool = False) -> TrainingSet:
    return prepare(house, request, progress=lambda *_: None, pseudonymise=pseudonymise)


def sources(house: House, chunk_ids: tuple[str, ...]) -> set[str]:
    return {place.source.rpartition("/")[2].removesuffix(".md") for place in house.shelf.places(chunk_ids).values()}


@pytest.fixture
def own(built: Path, tmp_path: Path) -> House:
    """A house that may be changed."""
    shutil.copytree(built, tmp_path / "own", ignore=shutil.ignore_patterns("training"))
    return House(tmp_path / "own")


def test_three_splits_are_the_parts_and_their_test_is_left_alone(house: House, tmp_path: Path) -> None:
    training = made(house, Request(dataset=whole(tmp_path / "set")))
    assert training.manifest.examples == {"train": 80, "dev": 20}
    assert training.manifest.splits == ("train", "dev")
    by_id = {query: (text, document) for query, text, document in questions(PLOTS)}
    for example in training.examples:
        text, document = by_id[example.query_id]
        (name,) = document
        assert (example.query, example.origin) == (text, "qrels")
        assert example.part == ("train" if name.title() in SPLITS["train"] else "dev")
        assert sources(house, example.positives) == {name}
        assert name not in sources(house, example.negatives)
        assert len(example.negatives) == 8
        assert set(example.documents) == Chunks(house.shelf).documents(example.positives + example.negatives)
    assert training.manifest.documents == tuple(sorted({id for e in training.examples for id in e.documents}))
    texts = {text.id: text for text in training.texts("train")}
    right = [section(*_of(e)) in texts[e.id].positives[0] for e in training.part("train")]
    assert np.mean(right) > 0.9  # of the four chunks of a lease the one that answers is learned from first
    assert all(text.positives[0].startswith("Lease of plot") for text in texts.values())  # as the embedder reads it


def _of(example: Example) -> tuple[str, str]:
    plot, _, topic = example.query_id.partition("-")
    return plot.title(), topic


def without_ids(training: TrainingSet) -> set[tuple[object, ...]]:
    return {(e.query, e.part, e.positives, e.negatives, e.origin, e.query_id) for e in training.examples}


def test_the_same_request_is_the_same_set(own: House, tmp_path: Path) -> None:
    request = Request(dataset=whole(tmp_path / "set"), synthetic=30, seed=3)
    first = made(own, request)
    again = made(own, request)
    assert (again.name, again.examples) == (first.name, first.examples)
    other = made(own, replace(request, seed=4))
    assert other.name != first.name
    # Made anew in the same house: the same questions and passages under other ids and salts.
    shutil.rmtree(first.folder)
    anew = made(own, request)
    assert without_ids(anew) == without_ids(first)
    assert not {e.id for e in anew.examples} & {e.id for e in first.examples}
    assert not {e.salt for e in anew.examples} & {e.salt for e in first.examples}
    assert anew.manifest.root != first.manifest.root
    with pytest.raises(UsageError, match="something else"):
        made(own, replace(request, name=anew.name, seed=5))
    assert open_training(own, "latest").examples == anew.examples
    assert open_training(own, anew.manifest.root[:10]).name == anew.name
    own.close()


def test_one_split_gives_a_dev_part_of_whole_documents(house: House, tmp_path: Path) -> None:
    training = made(house, Request(dataset=beir(tmp_path / "set", {"train": questions(PLOTS)})))
    assert training.manifest.examples == {"train": 96, "dev": 24}
    parts = {
        part: {name for e in training.part(part) for name in sources(house, e.positives)} for part in ("train", "dev")
    }
    assert not parts["train"] & parts["dev"]
    assert training.manifest.settings["parts_share_no"] == "document or person"
    labels = training.dev_labels()
    assert labels.split == "train (dev)"
    assert set(labels.qrels) == {example.query_id for example in training.part("dev")}
    assert labels.unit == "document"


def test_a_second_split_is_kept_for_reporting_and_nothing_of_it_is_learned(house: House, tmp_path: Path) -> None:
    told = [("t1", "How much money is due each spring for plot Willow?", {"willow": 1})]
    train = [
        *questions(PLOTS[:25]),
        ("same", "how much money is due, each SPRING, for plot Willow", {"elm": 1}),
        ("near", "What money is due each spring for the plot Willow?", {"willow": 1}),
        ("other", "What may a shed be painted with at Willow?", {"willow": 1}),
    ]
    training = made(house, Request(dataset=beir(tmp_path / "set", {"train": train, "dev": told})))
    kept = {example.query_id for example in training.examples}
    assert not kept & {"same", "near", "t1"}
    assert "other" in kept
    assert training.manifest.left_out == {"asked in dev as well": 2}
    assert training.manifest.settings["shared_documents"] == {
        "dev": int("other" in {e.query_id for e in training.part("train")})
    }


def test_a_given_dev_part_shares_no_document_with_train(house: House, tmp_path: Path) -> None:
    train = [*questions(PLOTS[:15]), ("x1", "What may a shed at Rowan be painted with?", {"rowan": 1})]
    splits = {"train": train, "dev": questions(["Rowan"]), "test": questions(["Willow"])}
    training = made(house, Request(dataset=beir(tmp_path / "set", splits)))
    assert "x1" not in {example.query_id for example in training.examples}
    assert training.manifest.left_out == {"shares a document or person with dev": 1}
    assert training.manifest.examples == {"train": 60, "dev": 4}


def test_what_was_judged_wrong_is_a_negative_and_the_first(house: House, tmp_path: Path) -> None:
    rows = [(q, text, {**documents, "olive": 0}) for q, text, documents in questions(PLOTS[:12])]
    training = made(house, Request(dataset=beir(tmp_path / "set", {"train": rows})))
    for example in training.examples:
        assert sources(house, example.negatives[:4]) == {"olive"}
        assert "olive" not in sources(house, example.negatives[4:])


def test_passages_are_learned_from_where_they_are_labelled(house: House, tmp_path: Path) -> None:
    rows = [
        {"id": f"{p}-{t}", "query": asked(p, t), "relevant": [{"source": f"{p.lower()}.md", "quote": section(p, t)}]}
        for p in PLOTS[:12]
        for t in TOPICS
    ]
    training = made(house, Request(dataset=write_lines(tmp_path / "own.jsonl", rows)))
    views = house.shelf.views({id for e in training.examples for id in e.positives + e.negatives})
    own_lease = 0
    for example in training.examples:
        plot, topic = example.query_id.split("-")
        assert section(plot, topic) in views[example.positives[0]].chunk.text
        assert not any(section(plot, topic) in views[id].chunk.text for id in example.negatives)
        own_lease += plot.lower() in sources(house, example.negatives)
    assert own_lease > len(training.examples) / 2  # other sections of the same lease may be negatives
    assert training.dev_labels().unit == "passage"


# -- negatives -------------------------------------------------------------------------------------------------------


def test_no_negative_is_nearer_than_it_may_be_and_the_hardest_come_first(house: House, tmp_path: Path) -> None:
    labels = read_labels(whole(tmp_path / "set"), "train")
    chunks, engines = Chunks(house.shelf), house.engines()
    pairs = labelled_pairs(labels, locate(labels, house.shelf), chunks)
    mining = Mining(negatives=6, lexical_share=0.5, ratio=0.9)
    mined = mine(pairs, house.plan(), mining, engines=engines, chunks=chunks, progress=lambda *_: None)
    vectors = {
        i.view.chunk.id: i.dense for i in house.shelf.indexable(sorted(chunks.places), house.embedder.info.digest)
    }
    asked_vectors = house.embedder.embed_queries([pair.asked for pair in pairs]).vectors
    left_out = 0
    for pair, one, vector in zip(pairs, mined, asked_vectors, strict=True):
        best = max(float(vectors[id] @ vector) for id in one.positives)
        cosines = [float(vectors[id] @ vector) for id in one.negatives]
        assert cosines == sorted(cosines, reverse=True)
        assert all(cosine <= 0.9 * best + 1e-5 for cosine in cosines)
        assert not set(one.negatives) & set(pair.relevant)
        assert len(set(one.negatives)) == len(one.negatives) <= 6
        left_out += one.false_negatives
    assert left_out > 0
    # A question is mined alone as in company.
    alone = [
        mine([pair], house.plan(), mining, engines=engines, chunks=chunks, progress=lambda *_: None)[0]
        for pair in pairs[:5]
    ]
    assert alone == mined[:5]


def test_a_wider_margin_leaves_out_more_and_none_leaves_out_none(house: House, tmp_path: Path) -> None:
    labels = read_labels(whole(tmp_path / "set"), "train")
    chunks, engines = Chunks(house.shelf), house.engines()
    pairs = labelled_pairs(labels, locate(labels, house.shelf), chunks)[:30]

    def left_out(margin: float) -> int:
        mined = mine(
            pairs, house.plan(), Mining(margin=margin), engines=engines, chunks=chunks, progress=lambda *_: None
        )
        return sum(one.false_negatives for one in mined)

    assert left_out(0.0) < left_out(0.5) < left_out(0.9)


def test_what_repeats_a_positive_is_no_negative(own: House, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    for plot in PLOTS[:12]:
        (copies / f"copy-{plot.lower()}.md").write_text(lease(plot), encoding="utf-8")
    own.ingest([copies])
    training = made(
        own, Request(dataset=beir(tmp_path / "set", {"train": questions(PLOTS[:12])}), mining=Mining(margin=0))
    )
    for example in training.examples:
        plot, topic = _of(example)
        texts = [view.chunk.text for view in own.shelf.views(example.negatives).values()]
        assert not any(section(plot, topic) in text for text in texts)
    assert int(str(training.manifest.settings["near_repeats"])) > 0
    own.close()


# -- other sources ---------------------------------------------------------------------------------------------------


def test_synthetic_questions_alone(house: House) -> None:
    training = made(house, Request(synthetic=60))
    assert sum(training.manifest.examples.values()) == 60
    assert training.manifest.origins == {"synthetic": 60}
    assert training.manifest.settings["synthetic"]["kept"] == 60  # type: ignore[index]
    labels = training.dev_labels()
    assert labels.unit == "passage"
    found = retrieve(
        checked_queries(labels, house.engines(), sorted(labels.qrels)),
        {"live": house.plan()},
        engines=house.engines(),
        located=locate(labels, house.shelf),
        qrels=labels.qrels,
        progress=lambda *_: None,
    )
    hits = [
        any(unit in list(found.runs["live"][query])[:10] for unit in units) for query, units in labels.qrels.items()
    ]
    assert np.mean(hits) > 0.9


def test_all_sources_together_and_settings_are_chosen_on_labels(house: House, tmp_path: Path) -> None:
    log = [{"query": asked(p, "shed"), "source": f"{p.lower()}.md", "signal": "click", "person": p} for p in PLOTS[20:]]
    pairs = [{"query": f"{asked(p, 'rent')} Please.", "positive": section(p, "rent")} for p in PLOTS[:10]]
    training = made(
        house,
        Request(
            dataset=beir(tmp_path / "set", {"train": questions(PLOTS[:20])}),
            feedback=write_lines(tmp_path / "log.jsonl", log),
            pairs=write_lines(tmp_path / "pairs.jsonl", pairs),
            synthetic=20,
        ),
    )
    assert {e.origin for e in training.part("dev")} == {"qrels"}
    origins = Counter(example.origin for example in training.part("train"))
    assert origins["feedback"] == 10
    assert origins["synthetic"] > 0
    assert origins["import"] > 0
    assert {e.salience for e in training.examples if e.origin == "feedback"} == {0.3}
    left_out = training.manifest.left_out
    assert sum(left_out.values()) + len(training.examples) == 80 + 10 + 10 + 20
    dev = {name for e in training.part("dev") for name in sources(house, e.positives)}
    assert not dev & {name for e in training.part("train") for name in sources(house, e.positives)}


def test_one_who_asks_stays_on_one_side(house: House, tmp_path: Path) -> None:
    log = [
        {"query": asked(plot, topic), "source": f"{plot.lower()}.md", "signal": "up", "person": f"person {number % 8}"}
        for number, plot in enumerate(PLOTS)
        for topic in TOPICS
    ]
    training = made(house, Request(feedback=write_lines(tmp_path / "log.jsonl", log)))
    asked_by = {
        part: {PLOTS.index(name.title()) % 8 for e in training.part(part) for name in sources(house, e.positives)}  # type: ignore[arg-type]
        for part in ("train", "dev")
    }
    assert not asked_by["train"] & asked_by["dev"]
    assert training.dev_labels().unit == "document"
    kept = "".join(path.read_text() for path in training.folder.iterdir())
    assert "person 1" not in kept


# -- later -----------------------------------------------------------------------------------------------------------


def test_examples_whose_passages_are_gone_are_left_out_and_counted(own: House, tmp_path: Path) -> None:
    training = made(own, Request(dataset=whole(tmp_path / "set")))
    before = training.texts("train")
    assert training.gone == {"train": 0}
    changed = tmp_path / "changed"
    changed.mkdir()
    gone = [source for source in own.shelf.known() if source.endswith(("alder.md", "ash.md"))]
    for source in gone:
        Path(source).rename(changed / Path(source).name)
    try:
        own.ingest([Path(gone[0]).parent], prune=True)
        opened = open_training(own, training.name)
        left = opened.texts("train")
    finally:
        for source in gone:
            (changed / Path(source).name).rename(source)
    assert opened.gone == {"train": 8}
    assert {text.id for text in left} == {e.id for e in training.part("train") if _of(e)[0] not in {"Alder", "Ash"}}
    assert sum(len(text.negatives) for text in left) < sum(len(text.negatives) for text in before)
    own.close()


def test_a_changed_set_is_not_measured_with(own: House, tmp_path: Path) -> None:
    folder = whole(tmp_path / "set")
    training = made(own, Request(dataset=folder))
    assert training.dev_labels().split == "dev"
    with (folder / "qrels" / "dev.tsv").open("a") as file:
        file.write("rowan-rent\trowan\t1\n")
    with pytest.raises(UsageError, match="has changed since") as error:
        training.dev_labels()
    assert error.value.hint
    own.close()


def test_a_changed_example_breaks_the_seal(own: House, tmp_path: Path) -> None:
    training = made(own, Request(dataset=whole(tmp_path / "set"), name="sealed"))
    path = training.folder / "examples.jsonl"
    path.write_text(path.read_text().replace('"salience":1.0', '"salience":0.9', 1))
    with pytest.raises(StorageFault, match="does not fit its seal"):
        open_training(own, "sealed")
    own.close()


def test_nothing_of_the_documents_is_in_the_files(own: House, tmp_path: Path) -> None:
    training = made(own, Request(dataset=whole(tmp_path / "set")))
    kept = "".join(path.read_text() for path in training.folder.iterdir())
    assert "pounds" not in kept
    assert asked("Alder", "rent") in kept
    own.close()


# -- people ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def rampart() -> Path:
    from freehold.models.pull import pull

    return pull("rampart")


def test_people_in_questions_are_surrogates(own: House, tmp_path: Path, rampart: Path) -> None:
    rows = [
        (q, f"My neighbour Margaret Thistlewood asks: {text}" if n < 8 else text, grades)
        for n, (q, text, grades) in enumerate(questions(PLOTS))
    ]
    training = made(own, Request(dataset=beir(tmp_path / "set", {"train": rows})), pseudonymise=True)
    about = [e for e in training.examples if e.query.startswith("My neighbour")]
    assert about
    assert not any("Thistlewood" in example.query for example in training.examples)
    assert len({e.query.partition("neighbour ")[2].partition(" asks")[0] for e in about}) == 1
    assert len({e.part for e in about}) == 1  # a person is on one side
    check = training.manifest.pseudonyms
    assert check is not None
    assert check.replaced["person"] >= 8
    assert check.labelled > 50
    assert check.miss_rate_ci95 is not None
    dev = training.dev_labels()
    assert not any("Thistlewood" in query.text for query in dev.queries.values())
    assert "Thistlewood" not in "".join(path.read_text() for path in training.folder.iterdir())
    plain = made(own, Request(dataset=tmp_path / "set"))
    assert plain.name != training.name
    assert plain.manifest.pseudonyms is None
    key = training.folder.parent / "pseudonyms.key"
    assert key.stat().st_mode & 0o077 == 0
    own.close()


def test_without_the_detector_it_says_what_to_do(own: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEHOLD_MODELS", str(tmp_path / "none"))
    with pytest.raises(ModelNotFound, match="rampart") as error:
        made(own, Request(dataset=whole(tmp_path / "set")), pseudonymise=True)
    assert "freehold models pull rampart" in error.value.hint
    own.close()


# -- bad input -------------------------------------------------------------------------------------------------------


def few(folder: Path) -> Request:
    return Request(dataset=beir(folder / "set", {"train": questions(PLOTS[:5])}))


def one_class(folder: Path) -> Request:
    rows = [(q, text, dict.fromkeys(documents, 0)) for q, text, documents in questions(PLOTS)]
    return Request(dataset=beir(folder / "set", {"train": rows}))


def not_here(folder: Path) -> Request:
    rows = [*questions(PLOTS), ("x", "Who keeps bees?", {"bees": 1})]
    return Request(dataset=beir(folder / "set", {"train": rows}))


def too_long(folder: Path) -> Request:
    return Request(dataset=beir(folder / "set", {"train": [("x", "why " * 600, {"alder": 1}), *questions(PLOTS)]}))


def no_train(folder: Path) -> Request:
    return Request(dataset=beir(folder / "set", {"dev": questions(PLOTS[:9]), "test": questions(PLOTS[9:])}))


def empty(folder: Path) -> Request:
    return Request(pairs=write_lines(folder / "empty.jsonl", []))


def absent(folder: Path) -> Request:
    return Request(feedback=folder / "absent.jsonl")


def only_down(folder: Path) -> Request:
    log = [{"query": asked(p, "rent"), "source": f"{p.lower()}.md", "signal": "down"} for p in PLOTS]
    return Request(feedback=write_lines(folder / "log.jsonl", log))


def about_one(folder: Path) -> Request:
    rows = [{"query": f"What about number {n}?", "positive": section("Alder", "rent")} for n in range(40)]
    return Request(pairs=write_lines(folder / "pairs.jsonl", rows))


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (lambda _: Request(), "nothing to make a training set of"),
        (few, "16 examples to train on, at least 20 are needed"),
        (one_class, "labels nothing as relevant"),
        (not_here, "train.tsv:122: the document bees is not in the house"),
        (too_long, r"queries\.jsonl:1: the query has"),
        (no_train, "has no split called train"),
        (empty, "is empty"),
        (absent, "cannot be read"),
        (only_down, "0 examples to train on"),
        (about_one, "examples to train on"),
    ],
)
def test_what_no_training_set_can_be_made_of(
    house: House, tmp_path: Path, bad: Callable[[Path], Request], told: str
) -> None:
    before = sorted(path.name for path in (house.root / "training").glob("*"))
    with pytest.raises(UsageError, match=told) as error:
        made(house, bad(tmp_path))
    assert error.value.hint
    assert sorted(path.name for path in (house.root / "training").glob("*")) == before


def test_missing_documents_may_be_left_out_and_repeats_and_refused_questions_are_counted(
    house: House, tmp_path: Path
) -> None:
    rows = [
        *questions(PLOTS),
        ("x", "Who keeps bees?", {"bees": 1}),
        ("again", asked("Alder", "rent") + "??", {"alder": 1}),
    ]
    log = [
        {"query": "why " * 600, "source": "alder.md", "signal": "up"},
        {"query": "Who keeps hens?", "source": "hens.md", "signal": "up"},
    ]
    request = Request(
        dataset=beir(tmp_path / "set", {"train": rows}),
        feedback=write_lines(tmp_path / "log.jsonl", log),
        allow_missing=True,
    )
    left_out = made(house, request).manifest.left_out
    assert left_out == {"nothing that answers it is in the house": 2, ASKED_TWICE: 1, NOT_TAKEN: 1}


def test_a_model_is_to_write_and_there_is_none(house: House) -> None:
    with pytest.raises(SettingsError, match="no model"):
        made(house, Request(synthetic=20, writer="model"))


def test_the_manifest_can_be_read_by_others(house: House, tmp_path: Path) -> None:
    training = made(house, Request(dataset=whole(tmp_path / "set")))
    record = json.loads((training.folder / "manifest.json").read_text())
    assert record.pop("format") == 1
    assert record == to_json(training.manifest)
    assert record["revision"] == house.shelf.revision
    assert record["embedder"] == house.embedder.info.digest
