"""Reads files in child processes: no file can take the house down, stall it, or touch the reading of another file."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import IO

from freehold.core.egress import VARIABLE
from freehold.core.errors import HouseFault
from freehold.text.parse.outcome import ParseLimits, Rejected
from freehold.text.prepare import ParsedDoc
from freehold.text.sandbox_worker import HEADER_BYTES, decode

_START_TIMEOUT_S = 60.0
_KEPT_ENVIRONMENT = (
    "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "TMPDIR", "VIRTUAL_ENV",
    VARIABLE,  # beside its own ban on all that is of the network
)  # fmt: skip
_FRAME_BYTES_PER_CHAR = 12  # an escaped character above U+FFFF
_FRAME_OVERHEAD_BYTES = 64 * 2**20  # pages, headings and metadata
_READ_BYTES = 2**20
_LOOK_AHEAD_PER_WORKER = 2
_HISTORY_MATTERS = frozenset({"crashed", "memory"})
"""Verdicts that what a worker read before could have caused: they count only from a fresh worker."""


class ParserPool:
    """Child processes that read files, each under ``limits``. Use as a context manager, from one thread.

    A child that dies, hangs or runs out of memory is replaced, and the file that did it gets its Rejected.
    """

    def __init__(self, workers: int = 2, limits: ParseLimits | None = None) -> None:
        self._workers = workers
        self._limits = limits or ParseLimits()
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._alive: set[_Worker] = set()
        self._closed = False
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="parser")

    def __enter__(self) -> ParserPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the children, also busy ones. Closing twice is fine."""
        with self._lock:
            self._closed = True
            alive = list(self._alive)
        for worker in alive:
            worker.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def map(self, paths: Iterable[Path]) -> Iterator[tuple[Path, ParsedDoc | Rejected]]:
        """Read files, in input order. Paths are taken a few ahead of the results, never all at once.

        Raises HouseFault when a child cannot be started at all.
        """
        pending: deque[tuple[Path, Future[ParsedDoc | Rejected]]] = deque()
        try:
            for path in paths:
                pending.append((path, self._threads.submit(self._read, path)))
                if len(pending) >= self._workers * _LOOK_AHEAD_PER_WORKER:
                    yield _result(pending.popleft())
            while pending:
                yield _result(pending.popleft())
        finally:
            for _, future in pending:
                future.cancel()

    def _read(self, path: Path) -> ParsedDoc | Rejected:
        worker = self._take()
        has_history = worker.has_history
        outcome = worker.ask(path)
        spoiled = isinstance(outcome, Rejected) and outcome.reason in {"timeout", *_HISTORY_MATTERS}
        self._release(worker, spoiled=spoiled)
        if isinstance(outcome, Rejected) and outcome.reason in _HISTORY_MATTERS and has_history and not self._closed:
            return self._read_afresh(path)
        return outcome

    def _read_afresh(self, path: Path) -> ParsedDoc | Rejected:
        worker = self._start()
        outcome = worker.ask(path)
        self._release(worker, spoiled=isinstance(outcome, Rejected))
        return outcome

    def _take(self) -> _Worker:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._start()

    def _start(self) -> _Worker:
        worker = _Worker(self._limits)
        with self._lock:
            self._alive.add(worker)
            closed = self._closed
        if closed:
            worker.kill()
        else:
            worker.wait_until_ready()
        return worker

    def _release(self, worker: _Worker, *, spoiled: bool) -> None:
        if spoiled:
            worker.kill()
        with self._lock:
            if spoiled:
                self._alive.discard(worker)
            else:
                self._idle.append(worker)


class _Worker:
    """One child process. Asked from one thread at a time; ``kill`` may come from another."""

    def __init__(self, limits: ParseLimits) -> None:
        self.has_history = False
        self._wall_s = limits.wall_s
        self._max_frame_bytes = limits.max_text_chars * _FRAME_BYTES_PER_CHAR + _FRAME_OVERHEAD_BYTES
        # -P: a folder of documents must not be a folder of modules. -B: the child may not write files.
        command = [sys.executable, "-P", "-B", "-m", "freehold.text.sandbox_worker", json.dumps(asdict(limits))]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # messages of libraries may quote the document
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for the parent, which then ends its children in order
        )

    def wait_until_ready(self) -> None:
        """Raises HouseFault when the child does not come up."""
        try:
            self._frame(time.monotonic() + _START_TIMEOUT_S)
        except (_Ended, TimeoutError) as error:
            self.kill()
            hint = f"Run `{sys.executable} -m freehold.text.sandbox_worker '{{}}'` to see why."
            raise HouseFault("The process that reads files does not start.", hint=hint) from error

    def ask(self, path: Path) -> ParsedDoc | Rejected:
        """What came of reading ``path``. After timeout, crashed or memory the worker must not be asked again."""
        self.has_history = True
        try:
            _pipe(self._process.stdin).write(json.dumps(str(path)).encode() + b"\n")
            _pipe(self._process.stdin).flush()
            return decode(self._frame(time.monotonic() + self._wall_s))
        except TimeoutError:
            return Rejected("timeout", f"Reading the file takes more than {self._wall_s:g} seconds.")
        except (_Ended, OSError):
            return self._why_it_ended()
        except ValueError:
            return Rejected("crashed", "The process that read the file gave no proper answer.")

    def kill(self) -> None:
        """End the child now and reap it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                _pipe(pipe).close()
            except OSError:
                continue  # a request that was never read is thrown away with the pipe

    def _why_it_ended(self) -> Rejected:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return Rejected("crashed", "The process that read the file closed its output.")
        if code == -signal.SIGXCPU:
            return Rejected("timeout", "Reading the file takes more processor time than allowed.")
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        return Rejected("crashed", f"The process that read the file ended with {how}.")

    def _frame(self, deadline: float) -> bytes:
        size = int.from_bytes(self._bytes(HEADER_BYTES, deadline), "big")
        if size > self._max_frame_bytes:
            raise ValueError("an answer larger than any text could be")
        return self._bytes(size, deadline)

    def _bytes(self, count: int, deadline: float) -> bytes:
        """Raises TimeoutError at the deadline (of ``time.monotonic``) and _Ended when the child has closed the pipe."""
        output = _pipe(self._process.stdout).fileno()
        poll = select.poll()
        poll.register(output, select.POLLIN)
        data = bytearray()
        while len(data) < count:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not poll.poll(left_s * 1000):
                raise TimeoutError
            piece = os.read(output, min(_READ_BYTES, count - len(data)))
            if not piece:
                raise _Ended
            data += piece
        return bytes(data)


class _Ended(Exception):
    """The child has closed its output."""


def _result(
    pending: tuple[Path, Future[ParsedDoc | Rejected]],
) -> tuple[Path, ParsedDoc | Rejected]:
    path, future = pending
    return path, future.result()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "Popen was asked for pipes"
    return pipe


def _environment() -> dict[str, str]:
    """The little that Python needs: keys and passwords of the parent stay with it."""
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    # One thread each: the pool is the parallelism, and every thread would take address space from the limit.
    return {**kept, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
