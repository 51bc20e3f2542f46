"""The parent's end of a build: hands work to the child process, and tells what became of it."""

from __future__ import annotations

import contextlib
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from multiprocessing.connection import Pipe
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, BinaryIO

from freehold.core.errors import EngineFault, FreeholdError
from freehold.index.files import storage_fault, storage_faults

QUEUE_LENGTH = 64
POLL_S = 0.1


class BuilderChild:
    """A running ``freehold.index.builder_process``. For one thread; work is done in the order given."""

    def __init__(self, path: Path, *, base: Path | None, dim: int, lock_fd: int) -> None:
        """Start building at ``path``. The child inherits ``lock_fd``: the lock lasts as long as either process lives.

        Raises EngineFault when no process can be started.
        """
        self._path = path
        self._queue: queue.Queue[bytes | None] = queue.Queue(QUEUE_LENGTH)
        self._broken = threading.Event()
        with storage_faults(Path(tempfile.gettempdir())):
            self._errors: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the child
        self._connection, childs_end = Pipe()
        command = [sys.executable, "-P", "-m", "freehold.index.builder_process"]
        arguments = [str(childs_end.fileno()), str(path), str(base or ""), str(dim)]
        self._process = _start(command + arguments, (childs_end.fileno(), lock_fd), self._errors)
        childs_end.close()
        self._sender = threading.Thread(target=self._send_all, name="index-builder", daemon=True)
        self._sender.start()

    def put(self, verb: str, load: object) -> None:
        """Queue a message; returns at once while fewer than QUEUE_LENGTH wait. Raises what the child failed with."""
        message = bytes(ForkingPickler.dumps((verb, load)))
        while not self._broken.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(message, timeout=POLL_S)
                return
        self.reply()

    def reply(self) -> Any:
        """Wait for the child's word: to ``commit`` the number of points it built, to ``ids`` the set of them.

        Raises what it failed with.
        """
        try:
            reply = self._connection.recv()
        except (EOFError, OSError):
            raise self._cause_of_death() from None
        if isinstance(reply, FreeholdError):
            raise reply
        return reply

    def close(self) -> None:
        """Stop the child, however far it is."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        with contextlib.suppress(queue.Full):  # a sender with a full queue finds the pipe broken instead
            self._queue.put_nowait(None)
        self._sender.join()
        self._connection.close()
        self._errors.close()

    def _send_all(self) -> None:
        while (message := self._queue.get()) is not None:
            try:
                self._connection.send_bytes(message)
            except OSError:
                self._broken.set()
                return

    def _cause_of_death(self) -> FreeholdError:
        status = self._process.wait()
        if status == -signal.SIGBUS:
            # A page of a mapped file that the disk had no room for.
            return storage_fault(self._path.parent, "the index builder could not write to its files", full=True)
        self._errors.seek(0)
        last_words = self._errors.read().decode(errors="replace").strip()[-300:]
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return EngineFault(
            f"the index builder {how}: {last_words or 'no message'}",
            hint="build again; if it happens again, look for memory limits in the system log",
        )


def _start(command: list[str], pass_fds: tuple[int, ...], errors: BinaryIO) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # never written to: the child learns from its end that we are gone
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=pass_fds,
        )
    except OSError as error:
        raise EngineFault(f"cannot start the index builder: {error.strerror}", hint="check process limits") from error
