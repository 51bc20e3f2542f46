"""What every request goes through: an id, limits on its body, headers that browsers heed, and what is counted of it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from freehold.core.ids import new_id
from freehold.serving.metrics import Metrics

_UPLOADS = frozenset({"/v1/documents", "/console/documents"})
_BODY_S = 30.0
"""For a whole body, and for each megabyte of an upload: one that drips in holds a connection, and no more."""
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
log = logging.getLogger("freehold.access")


class Envelope:
    """ASGI middleware: outermost, and it touches no byte of a body."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, max_body_bytes: int, max_upload_bytes: int) -> None:
        self._app, self._metrics = app, metrics
        self._max_body_bytes, self._max_upload_bytes = max_body_bytes, max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id, started, status = new_id(), time.perf_counter(), 500
        scope.setdefault("state", {})["id"] = request_id

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers["X-Request-ID"] = request_id
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, self._limited(scope, receive), send_with_headers)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            caller: Any = scope["state"].get("caller")
            told = {"request": request_id, "route": route, "status": status, "ms": round(seconds * 1000, 1)}
            log.info("request", extra={**told, "key": caller.id if caller else ""})
        return None

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """The body as it comes, until it is too much or too slow. Raises HTTPException 413 and 408."""
        most = self._max_upload_bytes if scope["path"] in _UPLOADS else self._max_body_bytes
        declared = Headers(scope=scope).get("content-length", "0")
        until = time.monotonic() + _BODY_S * max(1.0, most / (1 << 20) if most == self._max_upload_bytes else 1.0)
        size, whole = 0, False

        async def limited() -> Message:
            nonlocal size, whole
            if whole:
                return await receive()  # from here on it only tells of a caller who went away
            if declared.isdecimal() and int(declared) > most:
                raise HTTPException(413, f"the body is longer than {most >> 20} MB")
            try:
                message = await asyncio.wait_for(receive(), max(0.0, until - time.monotonic()))
            except TimeoutError:
                raise HTTPException(408, "the body came too slowly") from None
            size += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if size > most:
                raise HTTPException(413, f"the body is longer than {most >> 20} MB")
            return message

        return limited
