"""Records say what the house knows and where it stands, name what is to be filled in, and hold nothing of a person."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import office
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from freehold.core.errors import SettingsError
from freehold.house import House, open_house
from freehold.records import render
from freehold.records.bom import bill as bill_of
from freehold.records.lines import Record
from freehold.records.write import BILL, KINDS, SUMS, facts_of, make, write
from freehold.residency.places import BASES, place_of

DOCS = Path(__file__).parents[2] / "docs"
NOW = datetime(2026, 11, 27, 9, 30, tzinfo=UTC)
POINTS = {
    "processing": [f"30(1)({letter})" for letter in "abcdefg"],
    "assessment": [f"35(7)({letter})" for letter in "abcd"] + ["35(2)", "35(9)", "35(11)"],
    "models": [
        "details", "intended use", "factors", "measures", "training data", "considerations", "caveats",
    ],
    "data": ["motivation", "composition", "collection", "preparation", "uses", "distribution", "maintenance"],
    "technical": [f"1({letter})" for letter in "abcdefgh"] + [f"2({letter})" for letter in "abcdefgh"]
    + [str(number) for number in range(3, 10)],
}  # fmt: skip


def of(house: House) -> dict[str, Record]:
    return {str(kind): record for kind, record in make(house, NOW).items()}


def told(record: Record, topic: str) -> str:
    return "\n".join(text for line in record.lines if line.topic == topic for text in line.told)


@pytest.fixture(scope="module")
def records(practised: Path) -> dict[str, Record]:
    with open_house(practised) as house:
        return of(house)


@pytest.mark.parametrize("kind", KINDS)
def test_every_point_is_answered_or_says_which_setting_is_to(kind: str, records: dict[str, Record]) -> None:
    record = records[kind]
    assert set(POINTS[kind]) <= {line.point for line in record.lines}
    for line in record.lines:
        assert line.told or line.to_fill, line
        assert line.evidence, line


def test_evidence_is_where_it_says(practised: Path, records: dict[str, Record]) -> None:
    with open_house(practised) as house:
        origins = {key: origin for key, _, origin in house.settings.items()}
        leaves = list(house.ledger.leaves())
        versions = {version.id for version in house.registry.all()}
        experiments = {experiment.id for experiment in house.experiments.all()}
    seen = set()
    for line in (line for record in records.values() for line in record.lines):
        for one in line.evidence:
            seen.add(one.kind)
            if one.kind == "setting":
                assert origins[one.ref] == one.at
            elif one.kind == "ledger":
                assert leaves[int(one.ref)].kind == one.at
            elif one.kind == "version":
                assert one.ref in versions
            elif one.kind == "experiment":
                assert one.ref in experiments
            elif one.kind == "page":
                name, _, anchor = one.ref.partition("#")
                page = (DOCS / f"{name}.md").read_text()
                assert not anchor or anchor in anchors(page), one.ref
    assert {"setting", "ledger", "version", "experiment", "training set", "model", "page"} <= seen


def anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_what_the_house_cannot_know_is_never_made_up(practised: Path, tmp_path: Path) -> None:
    shutil.copytree(practised, tmp_path / "house")
    with open_house(tmp_path / "house") as house:
        empty = of(house)["processing"]
    assert {"records.controller", "records.purposes", "records.transfers", "records.officer"} <= set(empty.to_fill)
    assert told(empty, "Controller") == ""
    settings = tmp_path / "house" / "freehold.toml"
    own = '[records]\ncontroller = "Meridian | Mutual"\ncontact = "Quay 1"\npurposes = ["claims", "advice"]\n'
    own += 'representative = "none"\nrisks = ["wrong-answer: seldom, grave, bearable"]\n'
    settings.write_text(re.sub(r"^\[records\]\n", own, settings.read_text(), flags=re.MULTILINE))
    with open_house(tmp_path / "house") as house:
        filled = of(house)
    assert told(filled["processing"], "Controller") == "Meridian | Mutual\nQuay 1"
    assert told(filled["processing"], "Purposes") == "claims\nadvice"
    assert told(filled["processing"], "Representative") == "none"
    assert "records.controller" not in filled["processing"].to_fill
    assert "rated: seldom, grave, bearable" in told(filled["assessment"], "wrong-answer")
    assert "rated" not in told(filled["assessment"], "left-behind")
    assert r"Meridian \| Mutual" in render.markdown(filled["processing"])


def test_a_risk_that_is_none_is_refused(practised: Path) -> None:
    with open_house(practised) as house:
        house.settings = house.settings.with_values({"records.risks": ("flood: now and then",)}, origin="test")
        with pytest.raises(SettingsError, match="flood"):
            make(house, NOW)


def test_figures_have_intervals_and_places(practised: Path, records: dict[str, Record]) -> None:
    with open_house(practised) as house:
        (version,) = house.registry.all()
        found = house.experiments.get(version.experiment)
    measure = next(m for m in version.metrics if m.ci95)
    (line,) = [line for line in records["models"].lines if line.topic == "How good it was on the dev part"]
    low, high = (f"{end:.3f}".removeprefix("0") for end in measure.ci95 or ())
    assert any(text.startswith(measure.measure) and f"[{low}, {high}]" in text for text in line.told)
    assert line.evidence[0].ref == found.id
    assert version.manifest in told(records["models"], "What it learned from")
    assert "freehold eval" not in told(records["technical"], "Capabilities, and how exact")


def test_remote_addresses_are_recipients_with_their_regions(practised: Path) -> None:
    away = {
        "generator.kind": "openai", "generator.endpoint": "https://llm.example.eu/v1", "generator.model": "m",
        "generator.region": "eu", "generator.operator": "Llm SA",
        "privacy.recipients": ("Notary Lind",), "server.otlp_endpoint": "http://127.0.0.1:4318",
    }  # fmt: skip
    with open_house(practised) as house:
        house.settings = house.settings.with_values(away, origin="test")
        facts = facts_of(house, NOW)
        processing, materials = KINDS["processing"](facts), bill_of(facts)
    assert {one["x-trust-boundary"] for one in materials["services"]} == {True, False}
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(materials)) is None
    recipients = told(processing, "Recipients")
    assert "llm.example.eu (Llm SA) in eu" in recipients
    assert "Notary Lind" in recipients
    assert "127.0.0.1" not in recipients
    assert "llm.example.eu: eu; not in the table" in told(processing, "Transfers to third countries")


def test_what_is_known_of_an_address_stands_beside_it(practised: Path) -> None:
    away = {
        "house.regions": ("eu", "us"), "generator.kind": "openai", "generator.endpoint": "https://api.cohere.com/v1",
        "generator.model": "m", "generator.region": "us", "generator.operator": "Cohere",
        "judge.kind": "openai", "judge.endpoint": "https://eu.api.openai.com/v1", "judge.model": "m",
        "judge.region": "eu", "judge.operator": "OpenAI",
    }  # fmt: skip
    with open_house(practised) as house:
        house.settings = house.settings.with_values(away, origin="test")
        processing = KINDS["processing"](facts_of(house, NOW))
    assert "api.cohere.com (Cohere, CA) in us: words answers" in told(processing, "Recipients")
    transfers = told(processing, "Transfers to third countries")
    cohere, openai = (place_of(host) for host in ("api.cohere.com", "eu.api.openai.com"))
    assert cohere is not None
    assert f"api.cohere.com: us; {BASES['transfer']}, by {cohere.source}, read {cohere.checked}" in transfers
    assert openai is not None
    assert f"eu.api.openai.com: eu; {BASES['eu-region']}, by {openai.source}" in transfers
    assert "whether OpenAI is on the Data Privacy Framework's list is unchecked" in transfers


def test_how_long_documents_stay_is_what_the_house_carries_out(practised: Path) -> None:
    limits = {
        "privacy.document_retention_days": 3650, "privacy.document_retention": ("*/wordings/*: 0",),
        "privacy.document_date": "settled",
    }  # fmt: skip
    with open_house(practised) as house:
        assert "records.retention" in KINDS["processing"](facts_of(house, NOW)).to_fill
        house.settings = house.settings.with_values(limits, origin="test")
        processing = KINDS["processing"](facts_of(house, NOW))
    assert "records.retention" not in processing.to_fill
    lines = told(processing, "Documents")
    assert "what is like */wordings/*: for good" in lines
    assert "all else: 3,650 days, then removed" in lines
    assert "counted from the date in the field settled" in lines


def test_the_same_house_gives_the_same_bytes_and_a_leaf_with_their_digest(practised: Path, tmp_path: Path) -> None:
    shutil.copytree(practised, tmp_path / "house")
    with open_house(tmp_path / "house") as house:
        one = write(house, tmp_path / "one", now=NOW)
        two = write(house, tmp_path / "two", now=NOW)
        write(house, tmp_path / "later", now=datetime(2027, 1, 1, tzinfo=UTC))
        leaf = list(house.ledger.leaves())[one.leaf]
    assert one.files == two.files
    assert len(one.files) == 3 * len(KINDS) + 2
    for name in one.files:
        same = (tmp_path / "one" / name).read_bytes()
        assert same == (tmp_path / "two" / name).read_bytes()
        if name != SUMS:
            later = (tmp_path / "later" / name).read_text().replace("2027-01-01", "2026-11-27")
            assert later.encode() == same
    assert (leaf.kind, leaf.digests) == ("records.written", {"records": one.digest})
    assert hashlib.sha256((tmp_path / "one" / SUMS).read_bytes()).hexdigest() == one.digest
    for row in (tmp_path / "one" / SUMS).read_text().splitlines():
        digest, name = row.split("  ")
        assert hashlib.sha256((tmp_path / "one" / name).read_bytes()).hexdigest() == digest


def test_nobody_is_in_them(practised: Path, tmp_path: Path) -> None:
    shutil.copytree(practised, tmp_path / "house")
    with open_house(tmp_path / "house") as house:
        files = write(house, tmp_path / "out", now=NOW).files
        sources = {Path(words.source).name for words in house.shelf.words()}
        documents = house.shelf.document_ids()
    for name in files:
        text = (tmp_path / "out" / name).read_text().lower()
        for trace in (*office.TRACES, *sources, *documents):
            assert trace.lower() not in text, (name, trace)


def test_people_are_counted_once_they_were_looked_for(practised: Path, tmp_path: Path) -> None:
    from freehold.erasing.identity import mentions_of

    shutil.copytree(practised, tmp_path / "house")
    with open_house(tmp_path / "house") as house:
        assert "0 of 49 documents read for people; freehold survey reads the rest" in told(
            make(house, NOW)["processing"], "What the house holds"
        )
        survey = mentions_of(house).survey(lambda *_: None)
        assert house.shelf.surveyed() == (49, dict(sorted(survey.mentions.items())))
        found = told(make(house, NOW)["processing"], "What the house holds")
    assert f"email {survey.mentions['email']}" in found


def test_pages_are_whole_escaped_and_ask_for_nothing(practised: Path) -> None:
    evil = "<script>alert(1)</script>\u202e"
    with open_house(practised) as house:
        house.settings = house.settings.with_values({"records.controller": evil}, origin="test")
        record = make(house, NOW)["processing"]
    page, text = render.page(record), render.markdown(record)
    assert "<script" not in page + text
    assert "\u202e" not in page + text
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)


# -- the bill of materials -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bill(practised: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("bill")
    shutil.copytree(practised, root / "house")
    with open_house(root / "house") as house:
        write(house, root / "out", now=NOW)
    found: dict[str, Any] = json.loads((root / "out" / BILL).read_text())
    return found


def test_the_bill_keeps_to_the_official_schema(bill: dict[str, Any]) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(bill)) is None
    assert validator.validate_str(json.dumps({**bill, "components": [{"type": "model"}]})) is not None


def test_every_packaged_model_keeps_to_it_too(practised: Path) -> None:
    from freehold.models.manifest import cards

    validator = JsonStrictValidator(SchemaVersion.V1_6)
    with open_house(practised) as house:
        for name in cards():
            settings = house.settings.with_values({"embedder.model": name}, origin="test")
            facts = facts_of(house, NOW)
            facts.settings = settings
            assert validator.validate_str(json.dumps(bill_of(facts))) is None, name


def test_the_bill_names_models_data_and_packages_with_digests(practised: Path, bill: dict[str, Any]) -> None:
    with open_house(practised) as house:
        (version,) = house.registry.all()
    components = {one["bom-ref"]: one for one in bill["components"]}
    assert len(components) == len(bill["components"])
    tuned = components[f"version:{version.id}"]
    assert tuned["type"] == "machine-learning-model"
    assert {one["name"]: one["hashes"][0]["content"] for one in tuned["components"]} == dict(version.files)
    assert tuned["hashes"][0]["content"] in version.files.values()
    metrics = tuned["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert all(
        {"lowerBound", "upperBound"} == set(one.get("confidenceInterval", {"lowerBound", "upperBound"}))
        for one in metrics
    )
    (learned,) = tuned["modelCard"]["modelParameters"]["datasets"]
    assert components[learned["ref"]]["type"] == "data"
    base = components["model:embedder:all-minilm-l6-v2"]
    assert base["hashes"] == [
        {"alg": "SHA-256", "content": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"}
    ]
    packages = {one["name"] for one in components.values() if one["type"] == "library"}
    assert {"freehold", "numpy", "onnxruntime", "sqlalchemy"} <= packages
    assert "pytest" not in packages
    refs = {*components, "house", *(one["bom-ref"] for one in bill["services"])}
    for one in bill["dependencies"]:
        assert {one["ref"], *one["dependsOn"]} <= refs


# -- the command -----------------------------------------------------------------------------------------------------


def test_the_command_lists_shows_and_writes(practised: Path, tmp_path: Path) -> None:
    shutil.copytree(practised, tmp_path / "house")
    listed = office.run_json("records", house=tmp_path / "house")
    assert [one["kind"] for one in listed["records"]] == list(KINDS)
    assert "records.controller" in listed["to_fill"]
    shown = office.run("records", "show", "processing", house=tmp_path / "house")
    assert shown.stdout.startswith("# Record of processing: office")
    assert office.run_json("records", "show", "bom", house=tmp_path / "house")["specVersion"] == "1.6"
    done = office.run_json("records", "write", "--out", str(tmp_path / "out"), house=tmp_path / "house")
    assert (tmp_path / "out" / "assessment.html").exists()
    leaves = office.run_json("audit", "log", "--verify", house=tmp_path / "house")
    assert leaves["leaves"][done["leaf"]]["kind"] == "records.written"
    assert leaves["verified"]
