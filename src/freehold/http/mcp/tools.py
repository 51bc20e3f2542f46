"""The tools, and the server that offers them. What they do is what the service does for every other caller.

A tool that takes something away asks the person at the client first, by elicitation: a model that was talked into it
by a document cannot confirm it. Where the client cannot ask, the tool refuses.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context, Elicit, MCPServer, Resolve
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from mcp.server.request_state import RequestStateSecurity
from mcp.types import ToolAnnotations
from pydantic import BaseModel, Field

from freehold import __version__
from freehold.core.erasure import Ground, IdentifierKind, Subject
from freehold.core.ids import new_id
from freehold.erasing.walk import receive, requests_of
from freehold.house import House
from freehold.http import heard
from freehold.http.access import Caller
from freehold.http.documents import begin, listed, one_job, removable, shown
from freehold.http.mcp.results import (
    NOTE,
    URI,
    Begun,
    Evaluation,
    Passage,
    Passages,
    Progress,
    Reply,
    Report,
    Source,
    Sources,
    SourceText,
    uri_of,
)
from freehold.http.problems import Refused, problem
from freehold.http.schemas import Text
from freehold.privacy.subjects import parse_subject
from freehold.serving.keys import Scope
from freehold.serving.messages import Ask, Search
from freehold.serving.service import Service

MOST_CHARS = 20_000
"""Of a document, in one answer: about what a model reads with attention."""
MOST_RESOURCE_CHARS = 1_000_000
_INSTRUCTIONS = (
    "Search and answers from the documents of one house. `ask` answers a question with exact citations, or says that "
    "the documents do not hold the answer; `search` gives passages; `read_source` gives what stands around them. Name "
    f"source and page when you use them. {NOTE}"
)
log = logging.getLogger("freehold")


@dataclass(frozen=True, slots=True)
class Room:
    """What the tools work with."""

    service: Service
    caller: Caller | None = None
    """Over stdio; else each request has its own."""
    starting: asyncio.Task[None] | None = None
    """Over stdio, where a client that waits for the engine would give up."""

    async def ready(self) -> Service:
        """The service, once it answers. Raises what its start failed with."""
        if self.starting:
            await asyncio.shield(self.starting)
        return self.service

    def caller_of(self, request: Any) -> Caller:
        """Whoever sent the request, as it was found for this very request."""
        if self.caller is not None:
            return self.caller
        caller: Caller = request.state.caller
        return caller


Told = Context[Room, Any]
DocumentId = Annotated[str, Field(description="Id of a document, from `search`, `ask` or `sources`.", max_length=64)]


def make_server(lifespan: Callable[[MCPServer[Room]], AbstractAsyncContextManager[Room]]) -> MCPServer[Room]:
    """The server, for any transport. ``lifespan`` gives the room."""
    logging.getLogger("mcp").setLevel(logging.WARNING)  # below that it tells what callers sent
    server = MCPServer[Room](
        "freehold",
        title="Freehold",
        version=__version__,
        instructions=_INSTRUCTIONS,
        lifespan=lifespan,
        subscriptions=False,
        middleware=[_offer_what_may_be_called],
        request_state_security=RequestStateSecurity(keys=[secrets.token_bytes(32)], bind_principal=_principal),
    )
    for tool in _TOOLS:
        description = inspect.cleandoc(tool.do.__doc__ or "")
        server.add_tool(tool.do, title=tool.title, description=description, annotations=tool.annotations)
    server.resource(
        URI,
        name="document",
        title="Document",
        description=f"The whole text of a document. {NOTE}",
        mime_type="text/plain",
        meta={"freehold/note": NOTE},
    )(document)
    return server


# -- reading -----------------------------------------------------------------------------------------------------------


async def search(
    ctx: Told,
    query: Annotated[Text, Field(description="What to look for, in words: a question or keywords.")],
    k: Annotated[int, Field(ge=1, le=50, description="How many passages.")] = 10,
    filter: Annotated[
        dict[str, str] | None,
        Field(max_length=16, description='Fields that a document must have exactly, as {"team": "legal"}.'),
    ] = None,
) -> Passages:
    """Find the passages of the house's documents that answer a question best, with their exact place.

    Use it to read for yourself; `ask` gives a checked answer instead.
    """
    with _failures():
        caller, service = _allowed(ctx, "ask"), await _service(ctx)
        asked = Search(query, k, filter=filter or {}, caller=caller.reader)
        found = await service.search(asked, timeout_s=service.settings.server.timeout_s, parent=ctx.headers or {})
        id = new_id()
        heard.searched(service, id, asked, caller, found)
        return Passages(id=id, passages=[Passage.of(hit, uri=uri_of(hit.document_id)) for hit in found.hits])


async def ask(ctx: Told, question: Annotated[Text, Field(description="One question, in words.")]) -> Reply:
    """Answer a question from the house's documents alone, each sentence with a citation of the words that support it.

    Where the documents do not hold the answer, it says so and `abstained` is true.
    """
    with _failures():
        caller, service = _allowed(ctx, "ask"), await _service(ctx)
        asked = Ask(question, caller=caller.reader)
        timeout_s = service.settings.server.answer_timeout_s
        answered = await service.ask(asked, timeout_s=timeout_s, parent=ctx.headers or {})
        id = new_id()
        heard.answered(service, id, asked, caller, answered)
        return Reply.of(id, answered)


async def sources(
    ctx: Told,
    after: Annotated[str, Field(max_length=64, description="`next` of the page before; empty for the first.")] = "",
    limit: Annotated[int, Field(ge=1, le=200, description="How many documents.")] = 50,
) -> Sources:
    """List the documents of the house, a page at a time: ids, where each came from, title, language, size."""
    with _failures():
        page = await listed(await _service(ctx), _allowed(ctx, "ask"), after=after, limit=limit)
        documents = [Source(**one.model_dump(), uri=uri_of(one.id)) for one in page.documents]
        return Sources(documents=documents, next=page.next)


async def read_source(
    ctx: Told,
    document_id: DocumentId,
    start: Annotated[int, Field(ge=0, description="First character.")] = 0,
    end: Annotated[int | None, Field(ge=0, description="The character after the last; null: as far as fits.")] = None,
) -> SourceText:
    """Read a document's text, from one character to another: what stands around a passage or a citation.

    At most 20,000 characters at a time; `next_start` says where to go on. `pages` tells which page each part is on.
    """
    with _failures():
        document = await shown(await _service(ctx), document_id, _allowed(ctx, "ask"))
        start = min(start, len(document.text))
        most = min(len(document.text), start + MOST_CHARS)
        return SourceText.of(document, start, most if end is None else max(start, min(end, most)))


async def report(ctx: Told) -> Report:
    """Tell what the house holds, which models serve it, and what the latest evaluation measured, with intervals."""
    with _failures():
        caller, service = _allowed(ctx, "ask"), await _service(ctx)
        states = service.fleet.states
        models = dict(states[0].models) if states else {}

        def read(house: House) -> Report:
            stats, generation = house.shelf.stats(caller.reader), house.generation()
            requests = requests_of(house).all() if caller.may("dpo") else None
            return Report(
                name=house.settings.house.name,
                documents=stats.documents,
                passages=stats.chunks,
                quarantined=stats.quarantined,
                languages=dict(stats.languages),
                revision=generation.revision if generation else 0,
                models=models,
                evaluation=Evaluation.latest(house.experiments.all()),
                open_requests=None if requests is None else sum(one.stage != "closed" for one in requests),
            )

        return await service.house(read)


async def job_status(
    ctx: Told, job_id: Annotated[str, Field(max_length=64, description="Id that the tool gave which began it.")]
) -> Progress:
    """Tell how far a job is that `remove_document` or `erase_person` began, and what came of it."""
    with _failures():
        job = await one_job(await _service(ctx), job_id, _allowed(ctx, "ask"))
        return Progress(
            job_id=job.id,
            kind=job.kind,
            state=job.state,
            stage=job.stage,
            done=job.done,
            total=job.total,
            result=job.result,
            error=job.error,
        )


async def document(ctx: Told, document_id: str) -> str:
    """The whole text, for a client that attaches it."""
    try:
        with _failures():
            found = await shown(await _service(ctx), document_id, _allowed(ctx, "ask"))
    except ToolError as error:
        raise ResourceNotFoundError(str(error)) from None
    if len(found.text) > MOST_RESOURCE_CHARS:
        raise ResourceError(f"the document has {len(found.text)} characters; read_source gives it in parts")
    return found.text


# -- what a person has to confirm --------------------------------------------------------------------------------------


class Identifier(BaseModel):
    """Something that the person can be found by."""

    kind: IdentifierKind
    value: str = Field(min_length=1, max_length=500)


class Confirmation(BaseModel):
    """What the person at the client is asked."""

    confirm: bool = Field(description="Yes, do it. It cannot be undone.")


Identifiers = Annotated[
    list[Identifier],
    Field(min_length=1, max_length=50, description="All that the person gave: name, address of mail, numbers."),
]
Reason = Annotated[Ground, Field(description="Ground of GDPR Art. 17, or the house's own.")]


async def ask_removal(ctx: Told, document_id: str) -> Elicit[Confirmation]:
    """Whether that document is to go. Raises ToolError where the caller may not, and where nobody can be asked."""
    with _failures():
        caller = _allowed(ctx, "ingest")
        _can_be_asked(ctx)
        found = await removable(await _service(ctx), document_id, caller)
    name = "".join(sign if sign.isprintable() else "?" for sign in found.source.rsplit("/", 1)[-1][:200])
    message = f"Remove the document {name} ({document_id}), and all that was made from it, from the house?"
    return Elicit(message, Confirmation)


async def remove_document(
    ctx: Told, document_id: DocumentId, answer: Annotated[ElicitationResult[Confirmation], Resolve(ask_removal)]
) -> Begun:
    """Take a document out of the house, with all that was made from it. The person at the client is asked first.

    A job does it: `job_status` tells how far it is. It is no erasure of a person: that is `erase_person`.
    """
    if not _confirmed(answer):
        return Begun(confirmed=False, job_id="")
    with _failures():
        caller, service = _allowed(ctx, "ingest"), await _service(ctx)
        await removable(service, document_id, caller)
        job = await begin(service, "remove", {"documents": [document_id]}, caller)
        return Begun(confirmed=True, job_id=job.id)


async def ask_erasure(ctx: Told, identifiers: list[Identifier]) -> Elicit[Confirmation]:
    """Whether that person is to be forgotten. Raises ToolError as ``ask_removal``."""
    with _failures():
        _allowed(ctx, "dpo")
        _can_be_asked(ctx)
        subject = _subject(identifiers)
    told = "; ".join(f"{one.kind}: {one.value}" for one in subject.identifiers)  # each in one line
    message = (
        f"Erase the person found by {told}? Documents about them are deleted or redacted, everywhere in the house, its "
        "models and its backups."
    )
    return Elicit(message, Confirmation)


async def erase_person(
    ctx: Told,
    identifiers: Identifiers,
    answer: Annotated[ElicitationResult[Confirmation], Resolve(ask_erasure)],
    ground: Reason = "17(1)(b)",
) -> Begun:
    """Forget a person everywhere in the house, on their request (GDPR Art. 17).

    The person at the client is asked first. The request then goes on record and a job carries it out: `job_status`
    tells how far it is. Where others are named the document is redacted, else deleted; what a person must decide on is
    listed in the job's result.
    """
    if not _confirmed(answer):
        return Begun(confirmed=False, job_id="")
    with _failures():
        caller, service, subject = _allowed(ctx, "dpo"), await _service(ctx), _subject(identifiers)
        request = await service.house(lambda house: receive(house, subject, ground))
        job = await begin(service, "erase", {"request": request.id}, caller)
        return Begun(confirmed=True, job_id=job.id, request_id=request.id, due=request.due)


def _subject(identifiers: list[Identifier]) -> Subject:
    return parse_subject([(one.kind, one.value) for one in identifiers])


def _can_be_asked(ctx: Told) -> None:
    """Raises ToolError where the client cannot show its user a question."""
    capabilities = ctx.client_capabilities
    asks = capabilities.elicitation if capabilities else None
    if asks is None or (asks.form is None and asks.url is not None):
        hint = "use a client that supports elicitation, the HTTP interface, or the command line"
        raise ToolError(f"this client cannot ask its user, and nothing is taken away unasked; {hint}")


def _confirmed(answer: ElicitationResult[Confirmation]) -> bool:
    return isinstance(answer, AcceptedElicitation) and answer.data.confirm


# -- who may call what -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Tool:
    do: Callable[..., Any]
    title: str
    scope: Scope = "ask"

    @property
    def annotations(self) -> ToolAnnotations:
        reads = self.scope == "ask"
        return ToolAnnotations(
            title=self.title,
            read_only_hint=reads,
            destructive_hint=not reads,
            idempotent_hint=True,
            open_world_hint=False,
        )


_TOOLS = (
    _Tool(search, "Search the documents"),
    _Tool(ask, "Answer from the documents"),
    _Tool(sources, "List the documents"),
    _Tool(read_source, "Read a document"),
    _Tool(report, "What the house holds"),
    _Tool(job_status, "How far a job is"),
    _Tool(remove_document, "Remove a document", "ingest"),
    _Tool(erase_person, "Erase a person", "dpo"),
)
_SCOPES = {tool.do.__name__: tool.scope for tool in _TOOLS}


async def _offer_what_may_be_called(ctx: ServerRequestContext[Room, Any], call_next: CallNext) -> HandlerResult:
    """Tools that the caller may not use are not listed to them. Each tool checks again when it is called."""
    result = await call_next(ctx)
    if ctx.method != "tools/list" or result is None:
        return result
    caller = ctx.lifespan_context.caller_of(ctx.request)
    told = result if isinstance(result, dict) else result.model_dump(by_alias=True, mode="json", exclude_none=True)
    return {**told, "tools": [tool for tool in told["tools"] if caller.may(_SCOPES[tool["name"]])]}


def _principal(ctx: ServerRequestContext[Any, Any]) -> str:
    """An answer counts for the caller who was asked, and nobody else."""
    room: Room = ctx.lifespan_context
    return room.caller_of(ctx.request).id


async def _service(ctx: Told) -> Service:
    return await ctx.request_context.lifespan_context.ready()


def _allowed(ctx: Told, scope: Scope) -> Caller:
    """The caller. Raises Refused where they have not the scope."""
    caller = ctx.request_context.lifespan_context.caller_of(ctx.request_context.request)
    if not caller.may(scope):
        hint = f"it has: {', '.join(caller.scopes) or 'none'}"
        raise Refused(403, "scope", f"the caller has not the scope {scope}", hint=hint)
    return caller


@contextmanager
def _failures() -> Iterator[None]:
    """What goes wrong is told to the model with what to do next. The protocol's library logs what it does not know with
    its stack, so nothing else gets through to it."""
    try:
        yield
    except ToolError:
        raise
    except Exception as error:
        _, body, _ = problem(error, "")
        if body["code"] == "error":
            log.error("tool failed", extra={"error": type(error).__name__})  # noqa: TRY400
        hint = f"; {body['hint']}" if body["hint"] else ""
        raise ToolError(f"{body['detail']}{hint} [{body['code']}]") from None
