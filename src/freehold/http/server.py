"""The server process: uvicorn, structured logs, and an end in which what was begun is finished."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import uvicorn
from fastapi import FastAPI

from freehold.http.app import create_app
from freehold.serving.service import Service

_DRAIN_S = 30
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JsonLines(logging.Formatter):
    """One object a line. Extra fields are ids, counts and times; an exception is told by its kind alone."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info and record.exc_info[0]:
            told["error"] = record.exc_info[0].__name__
        return json.dumps(told, ensure_ascii=False, default=str)


def log_to_stderr() -> None:
    """Everything, from here on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)


def run(service: Service, *rooms: Callable[[FastAPI], None], host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; requests that are under way are answered first. ``rooms``: see ``create_app``.

    Raises what the service fails to start with.
    """
    log_to_stderr()
    config = uvicorn.Config(
        create_app(service, *rooms),
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_DRAIN_S,
        h11_max_incomplete_event_size=64 << 10,
    )
    asyncio.run(_serve(service, config))


async def _serve(service: Service, config: uvicorn.Config) -> None:
    try:
        await service.start()  # before uvicorn, which would log a traceback and hide the error
    except BaseException:
        await service.stop()
        raise
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them once more when it has ended as it was told
        signal.signal(number, lambda *_: None)
    await uvicorn.Server(config).serve()
