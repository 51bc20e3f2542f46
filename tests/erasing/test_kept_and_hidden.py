"""What is hidden or must be kept stays so, whatever an ingest, a removal or another request does to the document."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import practice
import pytest
from practice import SUBJECT, freehold, told

from freehold.core.errors import HouseBusy
from freehold.erasing import access, holds
from freehold.erasing.walk import Orders, carry_out, receive, requests_of
from freehold.house import House, open_house
from freehold.privacy.subjects import parse_subject
from freehold.store.lock import writer_lock

ANNA = parse_subject([("name", "Anna Keller"), ("email", "anna.keller@example.com")])


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


def document(house: House, name: str) -> str:
    return next(known.document_id for source, known in house.shelf.known().items() if Path(source).name == name)


def found(house: House, text: str) -> set[str]:
    return {Path(hit.source).name for hit in house.search(text).hits}


def test_what_replaces_a_document_is_hidden_and_held_as_that_was(minilm, tmp_path):
    root = practice.build(tmp_path, practice.ANNA, practice.OTHERS)
    papers = tmp_path / "papers"
    with open_house(root) as house:
        name, hidden = access.restrict(house, ANNA, silent)
        assert set(hidden) == {document(house, "letter-keller.txt"), document(house, "mail.txt")}
        holds.add(house, document(house, "letter-ekholm.txt"), "17(3)(e)", "2099-01-01")
        held = house.shelf.holds()[document(house, "letter-ekholm.txt")]
        for changed in ("mail.txt", "letter-ekholm.txt"):
            (papers / changed).write_text((papers / changed).read_text() + "\nSent from my phone.\n")
        assert house.ingest([papers]).replaced == 2
        assert "mail.txt" not in found(house, "the kettle exploded at noon")
    file = root / "freehold.toml"
    file.write_text(file.read_text().replace("# max_tokens = 256", "max_tokens = 128", 1))
    with open_house(root) as house:
        assert house.settings.chunking.max_tokens == 128
        assert house.ingest([papers]).replaced == 4  # cut anew
        assert not {"mail.txt", "letter-keller.txt"} & found(house, "the kettle exploded at noon, for Anna Keller")
        here = {document(house, name) for name in ("letter-keller.txt", "mail.txt")}
        assert house.shelf.restricted() == {document_id: {name} for document_id in here}
        assert house.shelf.holds() == {document(house, "letter-ekholm.txt"): held}
        assert access.lift(house, name) == 2
        assert "mail.txt" in found(house, "the kettle exploded at noon")


def test_what_must_stay_is_not_removed_with_its_file(minilm, tmp_path):
    root = practice.build(tmp_path, practice.ANNA, practice.OTHERS)
    papers = tmp_path / "papers"
    with open_house(root) as house:
        access.restrict(house, ANNA, silent)
        ekholm = document(house, "letter-ekholm.txt")
        holds.add(house, ekholm, "17(3)(e)", "2099-01-01")
        staying = {ekholm: "hold 17(3)(e) until 2099-01-01", document(house, "mail.txt"): "restricted"}
        for name in ("letter-ekholm.txt", "mail.txt", "wording.txt"):
            (papers / name).unlink()
        report = house.ingest([papers], prune=True)
        assert report.removed == 1
        assert {one.document: one.why for one in report.stay} == staying
        report = house.remove(sorted(staying))
        assert (report.removed, {one.document for one in report.stay}) == (0, staying.keys())
        assert house.shelf.present(staying) == staying.keys()
    shown = freehold("ingest", str(papers), "--prune", house=root)
    assert f"{ekholm}  stays: hold 17(3)(e) until 2099-01-01" in shown.stdout
    with open_house(root) as house:
        holds.remove(house, ekholm)
        assert house.remove([ekholm]).removed == 1


def test_a_trial_house_has_nothing_that_is_restricted(own, tmp_path):
    with open_house(own) as house, House.create(tmp_path / "trial", {"house.name": "trial"}) as trial:
        trial.ingest_house(house)
        assert "mail.txt" in {Path(source).name for source in trial.shelf.known()}
        access.restrict(house, ANNA, silent)
        assert trial.ingest_house(house).removed == 3
        assert {Path(source).name for source in trial.shelf.known()} == practice.OTHERS.keys()


def test_a_hold_waits_until_an_erasure_is_done(own):
    with open_house(own) as house:
        letter = document(house, "letter-keller.txt")
        with writer_lock(own), pytest.raises(HouseBusy, match="writing") as busy:
            holds.add(house, letter, "17(3)(e)", "2099-01-01")
        assert "run the same command again" in busy.value.hint
        assert not house.shelf.holds()


def test_a_hold_that_is_set_when_an_erasure_was_killed_counts(own):
    killed = freehold("erase", *SUBJECT, "--yes", house=own, kill_at="erase.evidence")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with open_house(own) as house:
        letter = document(house, "letter-keller.txt")
        holds.add(house, letter, "17(3)(e)", "2099-01-01")
        before = house.shelf.document(letter)
    outcome = told("erase", *SUBJECT, "--yes", house=own)
    assert (outcome["verdict"], outcome["held"]) == ("PARTIAL_EXEMPT", {letter: "17(3)(e)"})
    assert sorted(outcome["documents"].values()) == ["delete", "redact"]
    with open_house(own) as house:
        assert house.shelf.document(letter) == before
        assert house.shelf.original(letter)
        assert house.shelf.restricted() == {letter: {outcome["request"]}}  # and only that
    told("requests", "close", outcome["request"], house=own)
    with open_house(own) as house:
        assert house.shelf.restricted().keys() == {letter}


def test_what_is_left_of_a_document_after_two_requests_is_found_again(own):
    with open_house(own) as house:
        first = receive(house, parse_subject([("name", "Anna Keller")]), "17(1)(b)")
        with writer_lock(own), pytest.raises(HouseBusy):
            carry_out(house, first, Orders(wait_s=0), silent)
        carry_out(house, receive(house, ANNA, "17(1)(b)"), Orders(), silent)
        minutes = document(house, "minutes.txt")
        assert house.shelf.restricted() == {minutes: {first.id}}
        carry_out(house, requests_of(house).get(first.id), Orders(), silent)
        assert not house.shelf.restricted()
        assert "minutes.txt" in found(house, "the car park in Naas burned down")


def test_two_who_hand_in_the_same_request_at_once_hand_in_one(own):
    ids = []
    at_once = threading.Barrier(4)

    def hand_in() -> None:
        with open_house(own) as house:
            at_once.wait()
            ids.append(receive(house, ANNA, "17(1)(b)").id)

    threads = [threading.Thread(target=hand_in) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open_house(own) as house:
        assert [request.id for request in requests_of(house).all()] == list(set(ids))
        assert received(house) == list(set(ids))


def received(house: House) -> list[str]:
    return [leaf.ids["request"] for leaf in house.ledger.leaves() if leaf.kind == "erasure.received"]


def test_a_request_that_was_killed_at_its_receipt_is_told_of_when_it_goes_on(own):
    killed = freehold("erase", *SUBJECT, "--yes", house=own, kill_at="request.kept")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with open_house(own) as house:
        (request,) = requests_of(house).all()
        assert received(house) == []
        carry_out(house, request, Orders(), silent)
        assert received(house) == [request.id]
        assert receive(house, ANNA, "17(1)(b)").id == request.id
        assert received(house) == [request.id]
