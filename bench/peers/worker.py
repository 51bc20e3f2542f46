"""The driver's end of a worker: a child process that answers one command at a time and whose memory is watched."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from systems import BENCH, HERE, Entry, python_of

SAMPLE_S = 0.2
TIMEOUT_S = 3600.0
QUIET = {
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "ANONYMIZED_TELEMETRY": "False",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "true",
    "PYTHONUNBUFFERED": "1",
}


class WorkerFailed(Exception):
    """A system could not do what was asked of it; the message is its reason."""


class Worker:
    """A running system. ``peak_bytes`` is the largest resident memory of its process tree so far, None if unknown."""

    def __init__(self, entry: Entry, *, model: Path, threads: int) -> None:
        logs = BENCH / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self.entry = entry
        self.peak_bytes: int | None = None
        self._log_path = logs / f"{entry.name}.log"
        self._log = self._log_path.open("ab")
        arguments = ["--model", str(model), "--threads", str(threads)]
        if entry.batch is not None:
            arguments += ["--batch", str(entry.batch)]
        self._process = subprocess.Popen(
            [str(python_of(entry.environment)), str(HERE / entry.script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ | QUIET | {"OMP_NUM_THREADS": str(threads)},
            start_new_session=True,
        )
        self._deadline = float("inf")
        self._closed = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed.set()
        self._watcher.join()
        self._kill()
        self._process.wait()
        self._log.close()

    def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command and wait for its answer. Raises WorkerFailed with the system's own reason."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._deadline = time.monotonic() + TIMEOUT_S
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        timed_out, self._deadline = time.monotonic() > self._deadline, float("inf")
        if timed_out:
            raise WorkerFailed(f"no answer within {TIMEOUT_S:.0f} s")
        if not line:
            raise WorkerFailed(f"ended with status {self._process.wait()}: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerFailed(answer["error"])
        return answer

    def _last_words(self) -> str:
        lines = self._log_path.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no message"

    def _watch(self) -> None:
        while not self._closed.wait(SAMPLE_S):
            now = tree_rss_bytes(self._process.pid)
            if now is not None:
                self.peak_bytes = max(now, self.peak_bytes or 0)
            if time.monotonic() > self._deadline:
                self._kill()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def tree_rss_bytes(pid: int) -> int | None:
    """Resident memory of a process and its descendants, pages that they share counted once for each; None off Linux."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = " ".join(p.read_text() for p in Path(f"/proc/{pid}/task").glob("*/children")).split()
    except (OSError, IndexError):
        return None
    below = (tree_rss_bytes(int(child)) or 0 for child in children)
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(below)


def disk_bytes(folder: Path) -> int:
    """Disk space that the files below a folder take; sparse files count for what is allocated."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
