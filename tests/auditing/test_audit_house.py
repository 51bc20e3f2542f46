"""Every planted fault is found, and nothing else; a house in good order has none of them; no data is never a pass."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from faults import FAULTS, NOW, Fault, build, silent
from typer.testing import CliRunner

from freehold.auditing.audit import audit
from freehold.auditing.finding import Report, Rules, Seen, fault, sound
from freehold.auditing.forms import as_json, page, sarif
from freehold.auditing.rules import all_rules
from freehold.cli.main import app
from freehold.core.errors import SettingsError, StorageFault, UsageError
from freehold.house import House

FAST = {
    rule.id
    for rule in all_rules()
    if rule.theme in {"people", "requests", "models", "records", "safety"} and rule.id != "detector-misses"
}
"""Rules that open no model: each fault is held against all of them."""


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Path:
    from freehold.models.pull import pull

    pull("rampart")
    return build(tmp_path_factory.mktemp("audited"))


def faults_of(report: Report) -> set[str]:
    return {finding.rule for finding in report.of("fault")}


@pytest.fixture(scope="session")
def of_clean(clean: Path) -> Report:
    return audit(clean, now=NOW, progress=silent)


def test_a_house_in_good_order_has_no_fault(of_clean: Report) -> None:
    assert faults_of(of_clean) == set(), [f.told for f in of_clean.of("fault")]
    assert {finding.rule for finding in of_clean.findings} == {rule.id for rule in all_rules()}
    assert len(of_clean.of("sound")) > 30


@pytest.mark.parametrize("planted", FAULTS, ids=[one.rule for one in FAULTS])
def test_planted_faults_are_found(planted: Fault, clean: Path, tmp_path: Path) -> None:
    report = audited(planted, clean, tmp_path, only=FAST | {planted.rule})
    assert planted.rule in faults_of(report), [(f.rule, f.told) for f in report.findings if f.rule == planted.rule]
    assert faults_of(report) - {planted.rule} <= planted.also
    for finding in report.of("fault"):
        assert finding.fix
        assert finding.basis
        assert finding.told


@pytest.mark.slow
def test_every_rule_sees_the_planted_faults_and_nothing_else(clean: Path, tmp_path: Path) -> None:
    for planted in FAULTS:
        report = audited(planted, clean, tmp_path / planted.rule, only=set())
        assert planted.rule in faults_of(report)
        assert faults_of(report) - {planted.rule} <= planted.also, planted.rule


def audited(planted: Fault, clean: Path, folder: Path, *, only: set[str]) -> Report:
    """The report on a copy with the fault."""
    shutil.copytree(clean.parent, folder / "home")
    root = folder / "home" / "house"
    planted.plant(root)
    return audit(root, only=only, now=NOW, progress=silent)


def test_there_are_many_kinds_of_planted_faults() -> None:
    assert len({one.rule for one in FAULTS}) >= 20


def test_an_audit_changes_nothing(clean: Path, tmp_path: Path) -> None:
    shutil.copytree(clean.parent, tmp_path / "home")
    before = _contents(tmp_path)
    audit(tmp_path / "home" / "house", now=NOW, progress=silent)
    assert _contents(tmp_path) == before


def _contents(folder: Path) -> dict[str, bytes]:
    left_out = ("-wal", "-shm", "lock")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(left_out)
    }


def test_an_empty_house_is_judged_by_what_it_has(tmp_path: Path, minilm: Path) -> None:
    House.create(tmp_path / "house", {"house.name": "empty"}).close()
    report = audit(tmp_path / "house", now=NOW, progress=silent)
    told = {finding.rule: finding for finding in report.findings}
    for rule in ("retrieval-quality", "passages-copies", "vectors-stale", "index-recall", "canaries", "people-unknown"):
        assert told[rule].outcome == "inconclusive", rule
        assert told[rule].fix, rule
    assert "20" in told["retrieval-quality"].told


def test_what_cannot_be_read_is_not_judged() -> None:
    rules: Rules[None] = Rules()

    @rules.rule("broken", theme="records", severity="high", basis=("x",))
    def broken(_: None) -> list[Seen]:
        """All is well."""
        raise StorageFault("the disk is full", hint="make room")

    @rules.rule("says-nothing", theme="records", severity="high", basis=("x",))
    def nothing(_: None) -> list[Seen]:
        """All is well."""
        return []

    for name in ("broken", "says-nothing"):
        (finding,) = rules.all[name].check(None)
        assert finding.outcome == "inconclusive"
    with pytest.raises(ValueError, match="broken"):
        rules.rule("broken", theme="records", severity="high", basis=())(lambda _: [])


def test_severities_are_ordered() -> None:
    rules: Rules[int] = Rules()

    @rules.rule("half", theme="records", severity="medium", basis=("x",))
    def half(number: int) -> list[Seen]:
        """Numbers are even."""
        return [fault("odd", fix="add one") if number % 2 else sound("even")]

    def report(number: int) -> Report:
        return Report("s", NOW.isoformat(), "0", {}, tuple(rules.all["half"].check(number)), ())

    assert [report(1).fails(on) for on in ("high", "medium", "low")] == [False, True, True]
    assert not report(2).fails("low")


def test_forms_hold_the_same_findings(of_clean: Report) -> None:
    told = json.loads(as_json(of_clean))
    log = json.loads(sarif(of_clean))
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    assert len(run["results"]) == len(told["findings"]) == len(of_clean.findings)
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert (result["kind"] == "fail") == (result["level"] != "none")
    html = page(of_clean)
    assert "<script" not in html
    assert "default-src 'none'" in html
    assert all(f'id="{finding.rule}"' in html for finding in of_clean.findings)


def test_words_in_a_report_are_no_markup() -> None:
    rules: Rules[None] = Rules()
    hostile = "<img src=x onerror=alert(1)>\u202e"
    rules.rule("h", theme="people", severity="high", basis=("b",))(
        lambda _: [fault(hostile, {hostile: 1}, fix=hostile)]
    )
    html = page(Report(hostile, NOW.isoformat(), "0", {}, tuple(rules.all["h"].check(None)), ()))
    assert "<img" not in html
    assert "\u202e" not in html


def test_the_command_writes_and_fails_on_demand(clean: Path, tmp_path: Path) -> None:
    shutil.copytree(clean.parent, tmp_path / "home")
    root = tmp_path / "home" / "house"
    asked = ["audit", "--house", str(root), "--only", "secret-in-settings", "--fail-on", "high"]
    runner = CliRunner()
    out = [tmp_path / f"report.{form}" for form in ("html", "json", "sarif")]
    done = runner.invoke(app, [*asked, *(word for path in out for word in ("--out", str(path)))])
    assert done.exit_code == 0, done.output
    assert all(path.stat().st_size > 300 for path in out)
    next(one for one in FAULTS if one.rule == "secret-in-settings").plant(root)
    assert runner.invoke(app, asked).exit_code == 1
    assert runner.invoke(app, asked[:-2]).exit_code == 0
    told = json.loads(runner.invoke(app, [*asked[:-2], "--json"]).output)
    assert told["faults"] == {"high": 1, "medium": 0, "low": 0}
    assert "sk-" not in json.dumps(told)
    assert runner.invoke(app, ["audit", "rules"]).exit_code == 0


def test_bad_input_is_refused(clean: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        audit(tmp_path / "nowhere", progress=silent)
    with pytest.raises(UsageError, match="no-such"):
        audit(clean, only=["no-such"], progress=silent)
    report = audit(clean, questions=tmp_path / "none.jsonl", only=["retrieval-quality"], now=NOW, progress=silent)
    assert report.findings[0].outcome == "inconclusive"
