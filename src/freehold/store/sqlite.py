"""SQLite, opened so that deleted means overwritten and committed means on disk."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from freehold.core.errors import StorageFault


def connect(path: Path, metadata: sa.MetaData, *, upgrade: Callable[[sa.Connection], None] | None = None) -> sa.Engine:
    """An engine on the file, with its tables made; ``upgrade`` runs before that, in one transaction.

    Raises StorageFault for a file that is no database of ours.
    """
    # The path is no URL: a "?" in it would begin a query. Values stay out of the driver's messages.
    url = sa.URL.create("sqlite", database=str(path))
    engine = sa.create_engine(url, connect_args={"timeout": 30}, hide_parameters=True)
    sa.event.listen(engine, "connect", _prepare)
    sa.event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN"))
    with guarded(path):
        if upgrade is not None:
            with engine.begin() as c:
                upgrade(c)
        metadata.create_all(engine)
    return engine


def _prepare(connection: Any, _record: Any) -> None:
    # The driver's own transaction handling is switched off: SQLAlchemy's "begin" event speaks for it (see connect).
    connection.isolation_level = None
    for pragma in (
        "journal_mode = WAL",  # readers go on while one writes
        "synchronous = FULL",  # a commit is on disk when it returns
        "secure_delete = ON",  # freed pages are overwritten with zeros
        "foreign_keys = ON",
        "cache_size = -65536",  # KiB: a search reads token codes and texts that the default of 2 MB does not hold
        "temp_store = MEMORY",  # no spill of people's words into temporary files
    ):
        connection.execute(f"PRAGMA {pragma}")


def truncate_log(engine: sa.Engine) -> bool:
    """Move the write-ahead log into the database and empty its file, so that no deleted row lives on in it.

    False when a reader still holds an older snapshot: the log is emptied by the next call that finds none.
    """
    with guarded(Path(engine.url.database or "")):
        connection = engine.raw_connection()
        try:
            busy, _, _ = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.close()
    return bool(busy == 0)


def write_anew(engine: sa.Engine) -> bool:
    """Write the database anew in the place of the old one, through memory: takes as much as the file is large.

    ``secure_delete`` zeroes what is deleted, but where SQLite moves a row to another page the bytes in the gap that it
    leaves stay until that is written over. False as for ``truncate_log``.
    """
    with guarded(Path(engine.url.database or "")):
        connection = engine.raw_connection()
        try:
            connection.cursor().execute("VACUUM")
        finally:
            connection.close()
    return truncate_log(engine)


@contextlib.contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn the database's errors into ours: the message names the file, never a statement or its values."""
    try:
        yield
    except (sa.exc.DBAPIError, sqlite3.Error) as e:
        reason = str(e.orig if isinstance(e, sa.exc.DBAPIError) else e)
        if "full" in reason:
            hint = "free space on the disk and run the command again; nothing acknowledged is lost"
        elif "locked" in reason:
            hint = "another process is writing; wait for it to end"
        else:
            hint = "check the disk and the file's permissions, or restore the house from a backup"
        raise StorageFault(f"{path.name}: {reason}", hint=hint, refs=(str(path),)) from None
