"""``freehold audit log``: every walk has its leaves, and a witness sees what was rewritten."""

from __future__ import annotations

import shutil

from practice import copied, freehold, told


def test_every_step_of_an_erasure_is_a_leaf(erased):
    log = told("audit", "log", "--verify", house=erased)
    kinds = [leaf["kind"] for leaf in log["leaves"]]
    assert log["verified"]
    assert log["witness"].startswith("unwitnessed")
    order = [
        "house.opened",
        "ingest.committed",
        "erasure.received",
        "erasure.fenced",
        "erasure.erased",
        "erasure.certified",
    ]
    assert [kinds.index(kind) for kind in order] == sorted(kinds.index(kind) for kind in order)
    assert "keller" not in str(log).lower()


def test_a_witness_sees_what_was_rewritten(erased, tmp_path):
    house, witness = copied(erased, tmp_path), tmp_path / "witness.json"
    first = told("audit", "log", "--witness", str(witness), house=house)
    assert first["witness"] == f"witnessed up to leaf {first['size'] - 1}"
    told("subject", "show", "--subject", "name=Bertil Ekholm", house=house)
    again = told("audit", "log", "--verify", "--witness", str(witness), house=house)
    assert again["size"] == first["size"] + 1
    assert "which saw" in again["witness"]
    # Whoever runs the house writes another history, whole in itself and with the same key.
    key = (house / "ledger" / "key").read_bytes()
    shutil.rmtree(house / "ledger")
    (house / "ledger").mkdir()
    (house / "ledger" / "key").write_bytes(key)
    for _ in range(12):
        told("subject", "show", "--subject", "name=Bertil Ekholm", house=house)
    assert told("audit", "log", "--verify", house=house)["verified"]
    result = freehold("audit", "log", "--verify", "--witness", str(witness), house=house)
    assert result.returncode == 1
    assert "broken" in result.stdout


def test_other_rights(own, tmp_path):
    page = tmp_path / "letter.html"
    shown = told("subject", "show", "--subject", "name=Anna Keller", "--out", str(page), house=own)
    assert len(shown["documents"]) == 3
    said = " ".join(sentence for document in shown["documents"] for sentence in document["sentences"])
    assert "[another person] and Anna Keller disagree" in said
    assert "Ekholm" not in said
    assert "Anna Keller" in page.read_text()
    assert "<script" not in page.read_text()
    hidden = told("subject", "restrict", "--subject", "name=Anna Keller", house=own)
    hits = told("search", "kettle exploded at noon", house=own)["hits"]
    assert not {hit["document_id"] for hit in hits} & set(hidden["documents"])
    assert told("subject", "lift", hidden["restriction"], house=own)["documents"] == 3
    hits = told("search", "kettle exploded at noon", house=own)["hits"]
    assert "kettle" in hits[0]["text"]
    letter = next(d["document_id"] for d in shown["documents"] if d["source"].endswith("letter-keller.txt"))
    arguments = ("--wrong", "480 euros", "--right", "840 euros")
    made = told("subject", "rectify", letter, *arguments, house=own)
    assert made["replaced"] == 1
    assert b"480 euros" not in (own / "catalog.sqlite").read_bytes()
    assert "840 euros" in told("search", "claim HH-4471-09823 is settled", "-k", "1", house=own)["hits"][0]["text"]
    assert freehold("subject", "rectify", letter, *arguments, house=own).returncode == 70  # it is there no more
