"""A person is erased by the command, from every file of the house, and others are not."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from unittest import mock

import practice
import pytest
from practice import ANNA, BYSTANDERS, SUBJECT, TRACES, copied, freehold, residue, texts, told

from freehold.erasing import holders, walk
from freehold.erasing.verify import verify
from freehold.house import open_house
from freehold.privacy.subjects import parse_subject
from freehold.proof import verify as offline
from freehold.store.blobs import Blobs
from freehold.store.fence import HouseFence
from freehold.store.vault import Vault


def test_no_byte_of_the_person_stays(made, erased):
    assert set(residue(made, *TRACES)) == set(TRACES)  # they were there: the search can find them
    assert not residue(erased, *TRACES)


def test_what_is_theirs_alone_goes_and_what_names_others_stays_without_them(erased):
    left = texts(erased)
    assert set(left) == {"minutes.txt", *practice.OTHERS}
    assert all(sentence in left["minutes.txt"] for sentence in BYSTANDERS)
    assert "Bertil Ekholm and […] disagree about the hedge." in left["minutes.txt"]
    assert "asked for her window" not in left["minutes.txt"]  # a sentence that names nobody else goes whole
    assert all(left[name].strip() == text.strip() for name, text in practice.OTHERS.items())


def test_nothing_is_found_of_them_and_all_of_others(made, erased):
    for question in ("Anna Keller", "broken window", "kettle exploded at noon"):
        found = told("search", question, house=erased)["hits"]
        assert not [hit for hit in found if "keller" in json.dumps(hit).lower() or "kettle" in hit["text"]]
    before, after = (
        [hit["text"] for hit in told("search", "excess of the windscreen", "-k", "1", house=house)["hits"]]
        for house in (made, erased)
    )
    assert before == after


def test_the_certificate_verifies_alone_and_not_with_another_byte(erased, tmp_path):
    certificate = next(erased.glob("requests/*/certificate.json"))
    alone = [sys.executable, "-I", offline.__file__]
    result = subprocess.run([*alone, str(certificate)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1].startswith("not reached")
    assert "not proven" in result.stdout
    assert "keller" not in certificate.read_text().lower()
    data = bytearray(certificate.read_bytes())
    changed = tmp_path / "changed.json"
    for at in range(0, len(data), 7):
        data[at] ^= 1
        changed.write_bytes(data)
        data[at] ^= 1
        try:
            bundle = json.loads(changed.read_bytes())
            assert changed.read_bytes() != offline.canonical(bundle) or _refused(bundle), at
        except ValueError:
            continue


def _refused(bundle: object) -> bool:
    try:
        offline.verify(bundle)
    except (offline.Invalid, ValueError):
        return True
    return False


def test_they_do_not_come_back(erased, made, tmp_path):
    house = copied(erased, tmp_path)
    papers = made.parent / "papers"
    report = told("ingest", str(papers), house=house)
    assert {Path(refused["path"]).name for refused in report["refused"]} == {*ANNA, *practice.SHARED}
    assert report["documents"] == 0
    # Nor under another name, nor with other words around what identifies them.
    other = practice.write(tmp_path / "other", {"x.txt": "As agreed with KELLER, Anna: the shutters are green."})
    assert [r["code"] for r in told("ingest", str(other), house=house)["refused"]] == ["erased"]
    assert not residue(house, "keller", "shutters")
    # A person may say that it is somebody else.
    assert told("ingest", str(other), "--allow-erased", "namesake", house=house)["documents"] == 1
    assert "x.txt" in texts(house)


def test_the_plan_changes_nothing(own):
    before = {path: path.read_bytes() for path in own.rglob("*") if path.is_file() and "sqlite-" not in path.name}
    plan = told("erase", *SUBJECT, "--plan", house=own)
    assert {Path(d["source"]).name: d["action"] for d in plan["documents"]} == {
        "letter-keller.txt": "delete", "mail.txt": "delete", "minutes.txt": "redact",
    }  # fmt: skip
    assert plan["holdings"]["catalog"] == {"document": 3}
    after = {path: path.read_bytes() for path in own.rglob("*") if path.is_file() and "sqlite-" not in path.name}
    assert {p: d for p, d in after.items() if p.name != "vault.sqlite"} == {
        p: d for p, d in before.items() if p.name != "vault.sqlite"
    }


def test_an_address_of_mail_leads_to_the_name_and_to_what_stands_beside_it(own):
    outcome = told("erase", "--subject", "email=anna.keller@example.com", "--yes", house=own)
    assert outcome["verdict"] == "COMPLETE"
    assert not residue(own, *TRACES)


def test_nobody_of_that_name(own):
    outcome = told("erase", "--subject", "name=Nobody Whatsoever", "--yes", house=own)
    assert outcome["verdict"] == "COMPLETE"
    assert outcome["documents"] == {}
    assert len(texts(own)) == 5


@pytest.mark.parametrize("pair", ["email=", "shoe=44", "name=Anna", "policy=12", "born=1985-03-12", "email=nonsense"])
def test_half_the_world_is_refused(own, pair):
    result = freehold("erase", "--subject", pair, "--yes", "--json", house=own)
    assert result.returncode == 2, result.stdout
    assert json.loads(result.stdout)["error"]["hint"]


def test_identifiers_that_begin_others(tmp_path, minilm):
    papers = {
        "a.txt": "The file of policy HH-4471-0982 speaks of a chimney.",
        "b.txt": "The file of policy HH-4471-09823 speaks of a bakery.",
    }
    house = practice.build(tmp_path, papers)
    told("erase", "--subject", "policy=HH-4471-0982", "--yes", house=house)
    assert set(texts(house)) == {"b.txt"}


def test_a_document_under_a_hold_is_kept_hidden_and_told_of(own):
    with open_house(own) as house:
        letter = next(w.document_id for w in house.shelf.words() if w.source.endswith("letter-keller.txt"))
    told("hold", "add", letter, "--basis", "17(3)(b)", "--review", "2099-12-31", house=own)
    outcome = told("erase", *SUBJECT, "--yes", house=own)
    assert outcome["verdict"] == "PARTIAL_EXEMPT"
    assert outcome["held"] == {letter: "17(3)(b)"}
    hits = told("search", "broken window claim", house=own)["hits"]
    assert letter not in {hit["document_id"] for hit in hits}
    assert residue(own, "HH-4471")  # it is kept
    told("hold", "remove", letter, house=own)
    assert told("erase", "--resume", outcome["request"], "--yes", house=own)["verdict"] == "COMPLETE"
    assert not residue(own, *TRACES)


def test_what_may_be_somebody_else_waits_for_a_person(tmp_path, made):
    house = copied(made, tmp_path)
    doubtful = practice.write(tmp_path / "more", {"doubt.txt": "Frau Keller paid the ferry. The fare was 7 euros."})
    told("ingest", str(doubtful), house=house)
    outcome = told("erase", *SUBJECT, "--yes", house=house, code=4)
    assert outcome["verdict"] == "INTERIM"
    assert len(outcome["asked"]) == 1
    shown = told("requests", "show", outcome["request"], house=house)
    assert shown["doubts"][0]["sentences"] == ["Frau Keller paid the ferry."]
    decisions = tmp_path / "decisions.jsonl"
    decisions.write_text(json.dumps({"document": outcome["asked"][0], "action": "keep"}))
    kept = told("erase", "--resume", outcome["request"], "--decide", str(decisions), "--yes", house=house)
    assert kept["verdict"] == "COMPLETE"
    assert texts(house)["doubt.txt"].startswith("Frau Keller paid the ferry.")


def test_a_number_that_is_mostly_theirs_is_asked_about_where_it_stands_alone(tmp_path):
    letter = "Ilse Vogelsang, policy GRN-HH-2021-884213, asks again about the {}. Our line: +49 30 5550199.\n"
    house = practice.build(tmp_path, {
        "a.txt": letter.format("chimney"), "b.txt": letter.format("gutter"),
        "note.txt": "Concerning GRN-HH-2021-884213: the oak in the yard was felled.\n",
        "c.txt": "Call us at +49 30 5550199 about the ferry.\n", "d.txt": "Call +49 30 5550199 about the mill.\n",
    })  # fmt: skip
    outcome = told("erase", "--subject", "name=Ilse Vogelsang", "--yes", house=house, code=4)
    assert outcome["verdict"] == "INTERIM"
    (asked,) = outcome["asked"]
    assert set(texts(house)) == {"note.txt", "c.txt", "d.txt"}
    decisions = tmp_path / "decisions.jsonl"
    decisions.write_text(json.dumps({"document": asked, "action": "delete"}))
    done = told("erase", "--resume", outcome["request"], "--decide", str(decisions), "--yes", house=house)
    assert done["verdict"] == "COMPLETE"
    assert set(texts(house)) == {"c.txt", "d.txt"}
    assert not residue(house, "884213")


def test_a_namesake_in_the_same_paper_keeps_what_is_said_of_them(tmp_path, made):
    house = copied(made, tmp_path)
    namesake = "Keller, Anna (MRD-MOT-2019-550012) reports that the roof of the mill leaks."
    mine = "Anna Keller (MRD-MOT-2024-131877) reports that the roof of the bakery leaks."
    minutes = practice.write(tmp_path / "more", {"roofs.txt": f"Roofs\n\n{mine}\n\n{namesake}\n"})
    told("ingest", str(minutes), house=house)
    outcome = told("erase", *SUBJECT, "--yes", house=house, code=4)
    assert namesake in texts(house)["roofs.txt"]
    assert not residue(house, "bakery")
    # Whether the other line is about somebody else is for a person to say.
    (asked,) = outcome["asked"]
    decisions = tmp_path / "decisions.jsonl"
    decisions.write_text(json.dumps({"document": asked, "action": "keep"}))
    done = told("erase", "--resume", outcome["request"], "--decide", str(decisions), "--yes", house=house)
    assert done["verdict"] == "COMPLETE"
    assert namesake in texts(house)["roofs.txt"]


def test_what_a_person_keeps_is_never_hidden(tmp_path, made):
    house = copied(made, tmp_path)
    told("ingest", str(practice.write(tmp_path / "more", {"doubt.txt": "Frau Keller paid the ferry."})), house=house)
    with open_house(house) as opened:
        subject = parse_subject([tuple(one.split("=")) for one in SUBJECT[1::2]])
        request = walk.receive(opened, subject, "17(1)(b)")
        request = walk.carry_out(opened, request, walk.Orders(), lambda *_: None)
        orders = walk.Orders(decisions=dict.fromkeys(request.asked, "keep"))
        with mock.patch.object(type(opened.shelf), "restrict", autospec=True) as hide:
            walk.carry_out(opened, request, orders, lambda *_: None)
    assert request.asked
    assert not {*request.asked} & {one for call in hide.call_args_list for one in call.args[1]}


def test_a_damaged_index_is_made_anew_without_them(own):
    (shard,) = own.glob("index/generation-*/shard")
    shutil.rmtree(shard)
    assert told("erase", *SUBJECT, "--yes", house=own)["verdict"] == "COMPLETE"
    assert len(list(own.glob("index/generation-*/shard"))) == 1
    assert not residue(own, *TRACES)


def test_a_closed_request_speaks_of_nobody(erased, tmp_path):
    house = copied(erased, tmp_path)
    request = told("requests", house=house)["requests"][0]
    assert request["to_do"] == ["close"]
    assert told("requests", "close", request["id"][:8], house=house)["requests"][0]["stage"] == "closed"
    assert not list(house.glob("requests/*/*.sealed"))
    assert told("erase", "--resume", request["id"], "--yes", house=house, code=2)["error"]
    # The certificate still verifies, and the fence still stands.
    certificate = next(house.glob("requests/*/certificate.json"))
    assert told("verify", str(certificate), house=house)["valid"]
    assert told("ingest", str(practice.write(tmp_path / "p", ANNA)), house=house)["documents"] == 0


def test_two_who_share_a_document(own):
    told("erase", *SUBJECT, "--yes", house=own)
    outcome = told("erase", "--subject", "name=Bertil Ekholm", "--yes", house=own)
    assert outcome["verdict"] == "COMPLETE"
    assert not residue(own, *TRACES, "ekholm", "your boat is insured")
    assert BYSTANDERS[0] in texts(own)["minutes.txt"]


@pytest.mark.parametrize(
    ("where", "steps", "probes"),
    [
        (walk, "put_instead", {"stand-ins"}),
        (holders.IndexHolder, "erase", {"raw-vectors", "raw-ids"}),
        (Vault, "destroy", {"read-keys"}),
        (Blobs, "delete sweep", {"raw-ids"}),  # either alone would do
        (HouseFence, "put_subject", {"re-ingest"}),
    ],
)
def test_a_step_that_is_left_out_is_noticed(own, monkeypatch, where, steps, probes):
    for step in steps.split():
        monkeypatch.setattr(where, step, lambda *_, **__: {})
    with open_house(own) as house:
        request = walk.receive(house, parse_subject([("name", "Anna Keller")]), "17(1)(b)")
        request = walk.carry_out(house, request, walk.Orders(wait_s=0), lambda *_: None)
        failed = {probe.id for probe in verify(house, request, lambda *_: None).probes if probe.verdict != "pass"}
    assert probes & failed, failed


def test_numbers_of_the_house_s_own_form(tmp_path, made):
    papers = {
        "a.txt": "Ilse Vogelsang, ilse.vogelsang@example.com. Her file is called blue heron 7, the shutters are green.",
        "b.txt": "Mr Desmond Halpin reports that Ilse Vogelsang moved.\n\nThe file blue heron 7 is closed.\n",
    }
    for numbers, stays in (((), True), (("blue heron \\d+",), False)):
        house = practice.build(tmp_path / str(len(numbers)), papers)
        if numbers:
            settings = house / "freehold.toml"
            text = settings.read_text().replace("# numbers = []", f"numbers = ['{numbers[0]}'] #")
            settings.write_text(text.replace("\\\\", "\\"))
        told("erase", "--subject", "name=Ilse Vogelsang", "--yes", house=house)
        assert ("blue heron 7" in texts(house)["b.txt"]) is stays


@pytest.mark.parametrize(
    ("database", "row"),
    [
        ("catalog.sqlite", "meta (key, value) VALUES ('left behind', ?)"),
        ("vault.sqlite", "keys (document_id, wrapped) VALUES (?, x'00')"),
    ],
)
def test_what_a_database_kept_behind_its_rows_is_written_over(own, database, row):
    with closing(sqlite3.connect(own / database)) as behind, behind:
        behind.execute("PRAGMA secure_delete = OFF")
        behind.execute(f"INSERT INTO {row}", ("my dear Anna Keller, as we said",))
        behind.execute(f"DELETE FROM {row.split()[0]} WHERE rowid = last_insert_rowid()")
    assert b"dear Anna Keller" in (own / database).read_bytes()
    assert told("erase", *SUBJECT, "--yes", house=own)["verdict"] == "COMPLETE"
    assert not practice.residue(own, *TRACES)
