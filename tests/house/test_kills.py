"""``kill -9`` at every named step of an ingest: nothing acknowledged is lost, nothing half-done stays.

A house holds three documents. A second ingest replaces one, removes one and adds one, and is killed at a step. Then the
house must answer (with the world before or after, never a mixture within a document), and running the same ingest again
must end in exactly the state that an undisturbed run ends in, with no byte of the old versions in any file.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from freehold.core.faults import KILL_AT
from freehold.house import House, open_house

STEPS = (
    "vault.created",
    "blobs.written",
    "catalog.before_commit",
    "catalog.committed",
    "vault.destroyed",
    "blobs.removed",
    "ingest.window",
    "sync.compared",
    "index.copied",
    "index.inserted",
    "index.optimized",
    "index.before_swap",
    "index.after_swap",
)

KEPT = "Kilns are fired at night. The kept document speaks of SENTINELKEPT and of pottery."
OLD = "Sails are mended in spring. The old version speaks of OLDMARKERQX and of canvas."
NEW = "Sails are mended in autumn. The new version speaks of NEWMARKERQX and of canvas."
GONE = "Bees swarm in May. The removed document speaks of GONEMARKERQX and of honey."
ADDED = "Clocks are wound on Sundays. The added document speaks of ADDEDMARKERQX and of brass."


def freehold(*arguments: str, kill_at: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, KILL_AT: kill_at}
    command = [sys.executable, "-c", "from freehold.cli.main import main; main()", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Path:
    """A folder with the sources as they are after the change, and a house that holds them as they were before."""
    root = tmp_path_factory.mktemp("kills")
    papers = root / "papers"
    papers.mkdir()
    for name, text in {"kept": KEPT, "changed": OLD, "gone": GONE}.items():
        (papers / f"{name}.txt").write_text(text)
    with House.create(root / "house", {"house.name": "kills"}) as house:
        house.ingest([papers])
    (papers / "changed.txt").write_text(NEW)
    (papers / "gone.txt").unlink()
    (papers / "added.txt").write_text(ADDED)
    return root


def state(root: Path) -> dict[str, str]:
    """Source name -> text, for every document of the house."""
    with open_house(root / "house") as house:
        known = house.shelf.known()
        return {Path(source).stem: house.shelf.text(k.document_id) for source, k in known.items()}


@pytest.mark.parametrize("kill_at", STEPS)
def test_kill(before: Path, tmp_path: Path, kill_at: str) -> None:
    house, papers = tmp_path / "house", before / "papers"
    shutil.copytree(before / "house", house)
    ingest = ("--house", str(house), "ingest", str(papers), "--prune", "--json")

    killed = freehold(*ingest, kill_at=kill_at)
    in_child = kill_at.startswith("index.") and killed.returncode == 70
    assert in_child or killed.returncode == -signal.SIGKILL, killed.stderr

    found = freehold("--house", str(house), "search", "what does the kept document speak of", "--json")
    assert found.returncode == 0, found.stderr
    assert "SENTINELKEPT" in found.stdout
    texts = state(tmp_path)
    assert texts["kept"] == KEPT
    assert texts["changed"] in {OLD, NEW}
    assert texts.get("gone") in {GONE, None}
    assert texts.get("added") in {ADDED, None}
    for hit in json.loads(found.stdout)["hits"]:
        assert hit["text"] in texts[Path(hit["source"]).stem]

    again = freehold(*ingest)
    assert again.returncode == 0, again.stderr
    assert state(tmp_path) == {"kept": KEPT, "changed": NEW, "added": ADDED}
    no_orphans(house)
    everything = b"".join(path.read_bytes() for path in house.rglob("*") if path.is_file())
    assert b"SENTINELKEPT" in everything  # the scan can see texts that are here
    assert b"OLDMARKERQX" not in everything
    assert b"GONEMARKERQX" not in everything


def no_orphans(root: Path) -> None:
    """Every store holds exactly the catalog's documents and chunks."""
    with open_house(root) as house:
        documents = house.shelf.sealed_ids()
        assert {path.name for path in (root / "blobs").glob("*/*")} == documents
        assert house.shelf.vault.ids() == documents
        generation = house.generation()
        assert generation is not None
        assert generation.revision == house.shelf.revision
        assert set(house.engines().index.ids()) == house.shelf.chunk_ids()
        folders = [path for path in (root / "index").iterdir() if path.is_dir()]
        assert len(folders) == 1, folders
