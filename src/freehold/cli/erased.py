"""How requests, certificates and what is held about a person are printed."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from freehold.cli import output
from freehold.core.errors import UsageError
from freehold.core.files import storage_fault
from freehold.core.records import to_json

if TYPE_CHECKING:
    from freehold.core.erasure import ErasureRequest
    from freehold.core.shelf import Hold
    from freehold.erasing.access import Access
    from freehold.erasing.erase import Outcome
    from freehold.erasing.retrain import Replaced
    from freehold.erasing.walk import Preview
    from freehold.house import House
    from freehold.journeys.erase import Case
    from freehold.journeys.mentions import Survey

_SHOWN = 12


def print_preview(preview: Preview, house: House, *, as_json: bool) -> None:
    """What an erasure would do: every document with the decision, every holding by its holder."""
    if as_json:
        output.print_json(
            {
                "documents": [
                    {
                        **to_json(case),
                        "source": _source(house, case.document_id),
                        "hold": preview.held.get(case.document_id),
                    }
                    for case in preview.cases
                ],
                "holdings": _counted(preview),
                "identifiers": [to_json(identifier) for identifier in preview.identifiers],
            }
        )
        return
    output.out.print(summary(preview), soft_wrap=True)
    table = output.plain_table("document", "source", "mentions", "others named", "would be")
    for case in preview.cases:
        name = Path(_source(house, case.document_id)).name
        table.add_row(
            case.document_id[:8], escape(name), str(case.mentions), str(case.others), _fate(case, preview.held)
        )
    output.out.print(table)
    holders = output.plain_table("holder", "what", "held")
    for holder, kinds in _counted(preview).items():
        for kind, count in kinds.items():
            holders.add_row(holder, kind, str(count))
    output.out.print(holders)
    if preview.identifiers:
        read = ", ".join(f"{escape(i.kind)} {escape(i.value)}" for i in preview.identifiers)
        output.out.print(f"read from their documents, and looked for too: {read}", soft_wrap=True)


def summary(preview: Preview) -> str:
    """One line: how many documents would go, change, stay, and wait for a decision."""
    fates = Counter(_fate(case, preview.held) for case in preview.cases)
    return (
        ", ".join(f"{count} {fate}" for fate, count in sorted(fates.items())) or "nothing in the house speaks of them"
    )


def _fate(case: Case, held: Mapping[str, str]) -> str:
    if case.document_id in held:
        return "kept under a hold, hidden"
    if not case.decided:
        return "left for you to decide"
    return {"delete": "deleted", "redact": "redacted", "keep": "kept"}[case.action]


def _source(house: House, document_id: str) -> str:
    return house.shelf.document(document_id).source


def _counted(preview: Preview) -> dict[str, dict[str, int]]:
    counted: dict[str, Counter[str]] = {}
    for holding in preview.holdings:
        counted.setdefault(holding.holder, Counter())[holding.kind] += 1
    return {holder: dict(kinds) for holder, kinds in counted.items()}


def outcome_json(outcome: Outcome) -> dict[str, object]:
    """What a call came to, for programs."""
    request = outcome.request
    return {
        "request": request.id,
        "stage": request.stage,
        "verdict": outcome.certified.certificate.verdict,
        "certificate": str(outcome.certified.path),
        "recipients": list(outcome.recipients),
        "due": request.due,
        "documents": to_json(request.documents),
        "redactions": to_json(request.redactions),
        "asked": list(request.asked),
        "held": to_json(request.held),
        "erased": to_json(request.erased),
        "probes": [{**dataclasses.asdict(probe), "verdict": probe.verdict} for probe in outcome.verified.probes],
        "models": [to_json(one) for one in outcome.replaced],
        "seconds": to_json(request.seconds),
    }


def print_outcome(outcome: Outcome, *, as_json: bool) -> None:
    """What was erased where, what the probes found, and what is still to be done."""
    if as_json:
        output.print_json(outcome_json(outcome))
        return
    request, certificate = outcome.request, outcome.certified.certificate
    colour = {"COMPLETE": "green", "FAILED": "red"}.get(certificate.verdict, "yellow")
    output.out.print(f"request {request.id[:8]}: [bold {colour}]{certificate.verdict}[/]", soft_wrap=True)
    actions = Counter(request.documents.values())
    output.out.print(f"{output.many(actions['delete'], 'document')} deleted, {actions['redact']} redacted")
    table = output.plain_table("holder", "erased", "level")
    for store in certificate.stores:
        table.add_row(store.holder, str(store.items), store.level)
    output.out.print(table)
    probes = output.plain_table("probe", "controls found", "left", "verdict")
    for probe in outcome.verified.probes:
        probes.add_row(probe.id, str(probe.control_hits), str(probe.hits), probe.verdict)
    output.out.print(probes)
    _print_replaced(outcome.replaced)
    output.out.print(f"not reached: {', '.join(certificate.notReached)}", soft_wrap=True)
    if outcome.recipients:
        told = f"to be told, as they had the data (Art. 19): {', '.join(outcome.recipients)}"
        output.out.print(escape(told), soft_wrap=True)
    if request.asked:
        count = output.many(len(request.asked), "document")
        output.out.print(
            f"[yellow]{count} may speak of them: freehold requests show {request.id[:8]}[/]", soft_wrap=True
        )
    output.out.print(f"certificate: {escape(str(outcome.certified.path))}", soft_wrap=True)


def print_survey(survey: Survey, *, as_json: bool) -> None:
    """Mentions by kind, the most frequent first."""
    if as_json:
        output.print_json(to_json(survey))
        return
    table = output.plain_table("kind", "mentions")
    for kind, count in survey.mentions.items():
        table.add_row(kind, str(count))
    output.out.print(table)
    told = f"{survey.with_mentions} of {output.many(survey.documents, 'document')} mention somebody"
    output.out.print(f"{told}, as {survey.detector} finds it", soft_wrap=True)


def print_requests(
    requests: Sequence[ErasureRequest], restricted: Mapping[str, Collection[str]], *, as_json: bool
) -> None:
    """Requests, the open ones first; then restrictions in force."""
    names = Counter(name for hidden in restricted.values() for name in hidden if ":" in name)
    if as_json:
        output.print_json({"requests": [request_json(one) for one in requests], "restrictions": dict(names)})
        return
    if not requests and not names:
        output.out.print("no requests")
        return
    table = output.plain_table("request", "received", "due", "stage", "certificate", "to do")
    for one in sorted(requests, key=lambda r: (r.stage == "closed", r.due)):
        table.add_row(one.id[:8], one.received[:10], _due(one), one.stage, one.certificate, ", ".join(to_do(one)))
    output.out.print(table)
    for name, count in names.items():
        output.out.print(f"{name} hides {output.many(count, 'document')}", soft_wrap=True)


def request_json(request: ErasureRequest) -> dict[str, Any]:
    """A request, with what is to be done and whether it is late."""
    record: dict[str, Any] = to_json(request)
    return {**record, "to_do": to_do(request), "overdue": is_overdue(request)}


def to_do(request: ErasureRequest) -> list[str]:
    """What is still to be done for a request."""
    from freehold.erasing import review

    decide = f"decide on {output.many(len(request.asked), 'document')}"
    said = {"decide": decide, "retrain": "retrain", "resume": "freehold erase --resume", "close": "close"}
    return [said[one] for one in review.to_do(request)]


def is_overdue(request: ErasureRequest) -> bool:
    """Whether the month of Art. 12(3) has passed without a final certificate."""
    from freehold.erasing import review

    return review.is_overdue(request, now=datetime.now(UTC))


def _due(request: ErasureRequest) -> str:
    return f"[red]{request.due[:10]} late[/]" if is_overdue(request) else request.due[:10]


def print_request(request: ErasureRequest, house: House, *, as_json: bool) -> None:
    """A request, and the documents that wait for a decision with the words that may speak of the person."""
    from freehold.erasing.review import doubts

    found = doubts(house, request)
    if as_json:
        output.print_json({**request_json(request), "doubts": to_json(found)})
        return
    print_requests([request], {}, as_json=False)
    for doubt in found:
        output.out.print(f"\n[bold]{doubt.document_id}[/] {escape(Path(doubt.source).name)}", soft_wrap=True)
        for words in doubt.sentences:
            output.out.print(f"  {escape(words)}", soft_wrap=True)
    if found:
        line = json.dumps({"document": found[0].document_id, "action": "redact"})
        output.out.print(f"\ndecide in a file, a line each, for example {escape(line)}; then", soft_wrap=True)
        output.out.print(f"freehold erase --resume {request.id[:8]} --decide FILE --yes", soft_wrap=True)


def print_access(found: Access, *, out: Path | None, as_json: bool) -> None:
    """All that is held about a person: on the screen, or as a file for them."""
    from freehold.erasing.letter import page

    if out is not None:
        if out.suffix not in {".html", ".json"}:
            raise UsageError(f"{out} is neither a page nor data", hint="end its name in .html or .json")
        text = page(found) if out.suffix == ".html" else json.dumps(to_json(found), ensure_ascii=False, indent=2)
        try:
            out.write_text(text, encoding="utf-8")
        except OSError as e:
            raise storage_fault(e, out) from None
    if as_json:
        output.print_json(to_json(found))
        return
    output.out.print(f"searched by {', '.join(found.identifiers)}", soft_wrap=True)
    for document in found.documents:
        marks = [
            mark
            for mark, on in (("may be somebody else", document.band == "ask"), ("hidden", document.restricted))
            if on
        ]
        marks += [f"held under {document.hold}"] if document.hold else []
        told = f" ({', '.join(marks)})" if marks else ""
        output.out.print(f"\n[bold]{document.document_id}[/] {escape(document.source)}{told}", soft_wrap=True)
        for words in document.sentences[:_SHOWN]:
            output.out.print(f"  {escape(words)}", soft_wrap=True)
        if len(document.sentences) > _SHOWN:
            output.out.print(f"  and {len(document.sentences) - _SHOWN} more: --out FILE.html has all")
    for question in found.questions:
        doubt = " (may be somebody else)" if question.band == "ask" else ""
        output.out.print(f"\n[bold]{question.kind}[/] {question.at[:16].replace('T', ' ')}{doubt}", soft_wrap=True)
        for words in question.sentences:
            output.out.print(f"  {escape(words)}", soft_wrap=True)
    table = output.plain_table("holder", "held")
    for holder, count in found.holdings.items():
        table.add_row(holder, str(count))
    output.out.print(table)
    for model in found.models:
        output.out.print(f"learned from by {model}", soft_wrap=True)


def print_restriction(name: str, documents: Sequence[str], *, as_json: bool) -> None:
    """What is hidden from now on."""
    if as_json:
        output.print_json({"restriction": name, "documents": list(documents)})
        return
    output.out.print(f"{output.many(len(documents), 'document')} hidden from every search", soft_wrap=True)
    output.out.print(f"to end it: freehold subject lift {name}", soft_wrap=True)


def print_lifted(name: str, count: int, *, as_json: bool) -> None:
    """What is shown again."""
    if as_json:
        output.print_json({"restriction": name, "documents": count})
    else:
        output.out.print(f"{output.many(count, 'document')} shown again")


def print_rectified(document_id: str, count: int, *, as_json: bool) -> None:
    """What was put right."""
    if as_json:
        output.print_json({"document": document_id, "replaced": count})
    else:
        output.out.print(
            f"put right in {output.many(count, 'place')}; the document is now {document_id}", soft_wrap=True
        )


def print_holds(holds: Mapping[str, Hold], *, as_json: bool) -> None:
    """Documents that are kept whatever is erased."""
    if as_json:
        output.print_json({"holds": to_json(holds)})
        return
    table = output.plain_table("document", "basis", "looked at again")
    for document_id, hold in holds.items():
        table.add_row(document_id, hold.basis, hold.review)
    output.out.print(table if holds else "no holds")


def print_retrained(outcomes: Sequence[Replaced], *, as_json: bool) -> None:
    """What became of versions that learned from what was erased."""
    if as_json:
        output.print_json({"models": [to_json(one) for one in outcomes]})
        return
    if not outcomes:
        output.out.print("no model learned from what was erased")
    _print_replaced(outcomes)


def _print_replaced(outcomes: Sequence[Replaced]) -> None:
    if not outcomes:
        return
    table = output.plain_table("model version", "replaced by", "old one", "why not")
    for one in outcomes:
        old = "overwritten" if one.gone else f"serves until {one.off[:10]}"
        table.add_row(one.version[:8], one.by[:8] if one.promoted else "", old, one.reason)
    output.out.print(table)
