"""Traces for OpenTelemetry: a span for each request and one for each of its stages. Ids, times and counts, never words.

Off unless ``server.otlp_endpoint`` is set; needs the extra ``otel``. Spans go out in batches from a thread apart.
Where nobody takes them they are dropped: a trace is no reason to keep a caller waiting.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

from freehold import __version__
from freehold.core.errors import SettingsError

_NS_PER_MS = 1_000_000


class Tracer(Protocol):
    """Takes what happened, after it has."""

    def walked(
        self, walk: str, timings_ms: Mapping[str, float], counts: Mapping[str, int | str], parent: Mapping[str, str]
    ) -> None:
        """One search or answer that has just ended. ``parent``: the caller's ``traceparent`` header, if any."""
        ...

    def close(self) -> None:
        """Send what is left."""
        ...


class NoTracer:
    """For a house that sends no traces."""

    def walked(
        self, walk: str, timings_ms: Mapping[str, float], counts: Mapping[str, int | str], parent: Mapping[str, str]
    ) -> None:
        pass

    def close(self) -> None:
        pass


class OtlpTracer:
    """Sends spans over OTLP/HTTP."""

    def __init__(self, endpoint: str, house: str) -> None:
        """``endpoint``: base URL of a collector. Raises SettingsError where OpenTelemetry is not installed."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as e:
            raise SettingsError(f"{e.name} is not installed", hint="pip install 'freehold[otel]'") from None
        about = {"service.name": "freehold", "service.version": __version__, "freehold.house": house}
        self._provider = TracerProvider(resource=Resource(about))
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=5)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("freehold", __version__)

    def walked(
        self, walk: str, timings_ms: Mapping[str, float], counts: Mapping[str, int | str], parent: Mapping[str, str]
    ) -> None:
        """See ``Tracer``. Stages stand one after the other, as they were."""
        from opentelemetry.trace import SpanKind, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        stages = {stage: ms for stage, ms in timings_ms.items() if stage != "total"}
        end = time.time_ns()
        at = end - int(sum(stages.values()) * _NS_PER_MS)
        context: Any = TraceContextTextMapPropagator().extract(dict(parent))
        span = self._tracer.start_span(
            f"freehold.{walk}", context, SpanKind.SERVER, attributes={**counts}, start_time=at
        )
        inside = set_span_in_context(span)
        for stage, ms in stages.items():
            child = self._tracer.start_span(f"freehold.{walk}.{stage}", inside, start_time=at)
            at += int(ms * _NS_PER_MS)
            child.end(at)
        span.end(end)

    def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        self._provider.shutdown()


def open_tracer(endpoint: str, house: str) -> Tracer:
    """The tracer of the settings."""
    return OtlpTracer(endpoint, house) if endpoint else NoTracer()
