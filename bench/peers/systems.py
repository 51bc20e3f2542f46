"""Which systems there are, and the virtual environment that each runs in."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BENCH = ROOT / ".bench"


class SetupFailed(Exception):
    """An environment could not be made."""


@dataclass(frozen=True)
class Entry:
    """A system: how it is called, its worker script, its environment (empty: the one this runs in).

    ``batch``: texts that are embedded at once, None for the system's own choice. On CPU, batches of 8 carry a third
    more through sentence-transformers than batches of 32, because they hold less padding.
    """

    name: str
    label: str
    script: str
    environment: str = ""
    batch: int | None = None


ENTRIES = {
    entry.name: entry
    for entry in (
        Entry("freehold", "Freehold", "peer_freehold.py"),
        Entry("freehold-first-stage", "Freehold without reranking", "peer_freehold_first_stage.py"),
        Entry("haystack", "Haystack", "peer_haystack.py", "haystack", batch=8),
        Entry("llamaindex", "LlamaIndex", "peer_llamaindex.py", "llamaindex", batch=8),
        Entry("txtai", "txtai", "peer_txtai.py", "txtai", batch=8),
        Entry("floor", "bare engines", "floor.py"),
    )
}


def python_of(environment: str) -> Path:
    """The interpreter of an environment, which is made or made anew when its requirements have changed.

    Raises SetupFailed with the end of pip's output.
    """
    if not environment:
        return Path(sys.executable)
    folder, requirements = BENCH / environment, HERE / "requirements" / f"{environment}.txt"
    python, stamp = folder / "bin" / "python", folder / "requirements.sha256"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return python
    print(f"making the environment of {environment} (minutes, once)", file=sys.stderr)
    venv.create(folder, clear=True, with_pip=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]
    done = subprocess.run([*pip, str(requirements)], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["pip said nothing"]
        raise SetupFailed(f"pip could not install {environment}: {lines[-1]}")
    stamp.write_text(digest)
    return python
