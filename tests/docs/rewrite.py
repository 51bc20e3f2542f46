"""``python tests/docs/rewrite.py [PAGE...]`` writes the tables of the pages anew, and outputs that are not as shown.

What differs is replaced whole, ``...`` included: read the difference before you keep it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from doc_blocks import Difference, Session, continues, differences
from doc_tables import with_tables
from test_docs import PAGES, has_code, page


def rewrite(name: str, root: Path) -> None:
    text = with_tables(page(name))
    PAGES[name].write_text(text, encoding="utf-8")
    if not has_code(name):
        return
    folder = root / "reader"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for before in earlier(text):
        list(differences(page(before), Session(folder), name=before))
    found = list(differences(text, Session(folder), name=name))
    for difference in found:
        print(f"{name}:{difference.line}: {difference.what.splitlines()[0]} (exit code {difference.exit_code})")
    if any(difference.exit_code for difference in found):
        print(f"{name}: a command fails, outputs are left as they were")
        return
    for difference in reversed(found):
        text = _with_output(text, difference, folder)
    PAGES[name].write_text(text, encoding="utf-8")


def earlier(text: str) -> list[str]:
    """The pages that one goes on from, the first one first."""
    before = continues(text)
    return [*earlier(page(before)), before] if before else []


def _with_output(text: str, difference: Difference, folder: Path) -> str:
    """``text`` with what was printed; what stands above the block is left as it is."""
    lines = text.splitlines(keepends=True)
    above, below = "".join(lines[: difference.line]), "".join(lines[difference.line :])
    printed = "".join(f"{line.rstrip()}\n" for line in difference.printed.strip("\n").splitlines())
    printed = printed.replace(f"{folder}/", ".../")
    command = "$ " + "\n> ".join(difference.what.splitlines()).replace("\n> \n", "\n>\n") + "\n"
    for before in (command, f"{difference.what}```\n\n```text\n"):
        if before + difference.shown in below:
            return above + below.replace(before + difference.shown, before + printed, 1)
    raise ValueError(f"nowhere in the page: {difference.what}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as root:
        for name in sys.argv[1:] or sorted(PAGES):
            rewrite(name, Path(root))
