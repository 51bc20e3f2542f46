"""Rankings of experiments name documents in more ways than one: an erased one is named by none of them."""

from __future__ import annotations

from pathlib import Path

from freehold.core.erasure import Target
from freehold.erasing.left import rewritten

SOURCE = "/srv/papers/letters/keller 1.txt"
NAMED = (
    "%2Fsrv%2Fpapers%2Fletters%2Fkeller%201.txt",
    "/srv/papers/letters/keller%201.txt",
    "/srv/papers/letters/keller%201.txt[0:131]",
    "letters/keller%201.txt#2.1",
    "keller%201.txt[7:9]",
    "keller%201",
)
OTHERS = ("/srv/papers/letters/keller%2012.txt[0:131]", "keller%2012#1", "letters", "other.txt[0:131]")


def test_every_name_of_an_erased_document_goes(tmp_path: Path) -> None:
    path = tmp_path / "hybrid.run"
    names = (*NAMED, *OTHERS)
    path.write_text("".join(f"q1 Q0 {name} {rank} 0.5 hybrid\n" for rank, name in enumerate(names, 1)))
    target = Target(frozenset(), frozenset(), frozenset({SOURCE}))
    text = rewritten(path, target)
    assert text is not None
    assert [line.split()[2] for line in text.splitlines()][len(NAMED) :] == [*OTHERS]
    assert "keller%201." not in text
    assert text.count("erased") == len(NAMED)
    path.write_text(text)
    assert rewritten(path, target) is None
