"""``freehold erase``, ``requests``, ``subject``, ``hold`` and ``retrain``: their options."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from freehold.cli import erased, output
from freehold.cli.common import Json, open_house
from freehold.core.erasure import Action, Subject
from freehold.core.errors import NeedsPerson, UsageError

if TYPE_CHECKING:
    from freehold.erasing.erase import Outcome

requests_app = typer.Typer(help="Requests to be forgotten, and restrictions in force.", invoke_without_command=True)
subject_app = typer.Typer(help="What is held about a person: shown, hidden, put right.", no_args_is_help=True)
hold_app = typer.Typer(help="Documents that must be kept although somebody in them is to be forgotten.")

SubjectOption = Annotated[
    list[str] | None,
    typer.Option(
        "--subject", metavar="KEY=VALUE", help="name=, email=, phone=, iban=, born=, policy= ...; repeatable."
    ),
]
GroundOption = Annotated[
    Literal[
        "17(1)(a)",
        "17(1)(b)",
        "17(1)(c)",
        "17(1)(d)",
        "17(1)(e)",
        "17(1)(f)",
        "retention-expiry",
        "controller-initiative",
    ],
    typer.Option(help="Why, as the GDPR counts its reasons."),
]


def erase(
    context: typer.Context,
    subject: SubjectOption = None,
    resume: Annotated[str, typer.Option(metavar="ID", help="Go on with a request.")] = "",
    plan: Annotated[bool, typer.Option("--plan", help="Show what would become of what; nothing changes.")] = False,
    decide: Annotated[
        Path | None,
        typer.Option(help='What a person decided: a line {"document": ID, "action": "delete"|"redact"|"keep"} each.'),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before anything is erased.")] = False,
    ground: GroundOption = "17(1)(b)",
    retrain: Annotated[bool, typer.Option(help="Train models again that learned from what is erased.")] = True,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="For another process that writes or reads.")
    ] = 600.0,
    most: Annotated[
        int, typer.Option(min=1, metavar="DOCUMENTS", help="More than this are not taken for one person's.")
    ] = 1_000,
    as_json: Json = False,
) -> None:
    """Forget a person everywhere: fence them out, find, restrict, redact and delete, verify, certify.

    Exit 0: verified; 4: a person has to decide on documents; 1: something is left.
    """
    from freehold.erasing.erase import erase as carried_out
    from freehold.erasing.erase import request_for
    from freehold.erasing.walk import Orders, preview

    person = _subject(subject) if subject else None
    if (person is None) == (not resume):
        raise UsageError("whom to erase is not said", hint="--subject email=... or --resume ID, one of both")
    orders = Orders(decisions=_decisions(decide), wait_s=wait, most=most)
    with open_house(context) as house, output.progress_bars() as progress:
        if plan:
            erased.print_preview(
                preview(house, person or request_for(house, resume)[1], progress), house, as_json=as_json
            )
            return
        if person is not None and not yes:
            _ask(erased.summary(preview(house, person, progress, keep=True)))
        outcome = carried_out(
            house,
            person or resume,
            ground=ground,
            orders=orders,
            retrain_models=retrain,
            progress=progress,
        )
    erased.print_outcome(outcome, as_json=as_json)
    raise typer.Exit(exit_code(outcome))


def exit_code(outcome: Outcome) -> int:
    """0: nothing is left; 4: a person has to decide; 1: something is."""
    if outcome.failed:
        return 1
    return NeedsPerson.exit_code if outcome.request.asked else 0


def _ask(summary: str) -> None:
    if not typer.confirm(f"{summary}\nErase?", err=True):
        raise typer.Exit(NeedsPerson.exit_code)


def _subject(pairs: Sequence[str]) -> Subject:
    from freehold.privacy.subjects import parse_subject

    split = [pair.partition("=") for pair in pairs]
    if not all(equals for _, equals, _ in split):
        raise UsageError("--subject takes KEY=VALUE", hint="for example --subject email=anna.keller@example.com")
    return parse_subject([(key, value) for key, _, value in split])


def _decisions(path: Path | None) -> Mapping[str, Action]:
    if path is None:
        return {}
    decisions: dict[str, Action] = {}
    hint = 'each line is {"document": ID, "action": "delete", "redact" or "keep"}'
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.strip():
                entry = json.loads(line)
                if (
                    not isinstance(entry, dict)
                    or entry.get("action") not in get_args(Action)
                    or "document" not in entry
                ):
                    raise UsageError(f"{path}:{number} is no decision", hint=hint)
                decisions[str(entry["document"])] = entry["action"]
    except OSError as e:
        raise UsageError(f"{path} cannot be read: {e.strerror}", hint=hint) from None
    except ValueError as e:
        raise UsageError(f"{path} is not JSON lines: {e}", hint=hint) from None
    return decisions


@requests_app.callback()
def requests(context: typer.Context, as_json: Json = False) -> None:
    """List requests with what is still to be done and by when, the open ones first."""
    if context.invoked_subcommand is not None:
        return
    from freehold.erasing.walk import requests_of

    with open_house(context) as house:
        erased.print_requests(requests_of(house).all(), house.shelf.restricted(), as_json=as_json)


@requests_app.command("show")
def show_request(
    context: typer.Context, request: Annotated[str, typer.Argument(help="Id, or its beginning.")], as_json: Json = False
) -> None:
    """Show how far a request has come, and which documents wait for a decision."""
    from freehold.erasing.walk import requests_of

    with open_house(context) as house:
        erased.print_request(requests_of(house).get(request), house, as_json=as_json)


@requests_app.command("close")
def close_request(
    context: typer.Context, request: Annotated[str, typer.Argument(help="Id, or its beginning.")], as_json: Json = False
) -> None:
    """Destroy the key of a certified request: from here on nobody can tell whom it was about."""
    from freehold.erasing.erase import close

    with open_house(context) as house:
        closed = close(house, request)
    erased.print_requests([closed], {}, as_json=as_json)


@subject_app.command("show")
def show_subject(
    context: typer.Context,
    subject: SubjectOption = None,
    out: Annotated[Path | None, typer.Option(help="Write it as a page (.html) or data (.json) for the person.")] = None,
    as_json: Json = False,
) -> None:
    """Show all that the house holds on a person, as they may ask for it (GDPR Art. 15)."""
    from freehold.erasing.access import show

    with open_house(context) as house, output.progress_bars() as progress:
        found = show(house, _subject(subject or []), progress)
    erased.print_access(found, out=out, as_json=as_json)


@subject_app.command("restrict")
def restrict_subject(context: typer.Context, subject: SubjectOption = None, as_json: Json = False) -> None:
    """Hide what speaks of a person from every search, at once (Art. 18)."""
    from freehold.erasing.access import restrict

    with open_house(context) as house, output.progress_bars() as progress:
        name, documents = restrict(house, _subject(subject or []), progress)
    erased.print_restriction(name, documents, as_json=as_json)


@subject_app.command("lift")
def lift_restriction(
    context: typer.Context,
    restriction: Annotated[str, typer.Argument(help="As it was printed.")],
    as_json: Json = False,
) -> None:
    """End a restriction."""
    from freehold.erasing.access import lift

    with open_house(context) as house:
        count = lift(house, restriction)
    erased.print_lifted(restriction, count, as_json=as_json)


@subject_app.command("rectify")
def rectify_document(
    context: typer.Context,
    document: Annotated[str, typer.Argument(help="Id of the document, as subject show has it.")],
    wrong: Annotated[str, typer.Option(help="What it says, word for word.")],
    right: Annotated[str, typer.Option(help="What it is to say.")],
    as_json: Json = False,
) -> None:
    """Put a statement right: the old version is erased, the new one stands in its place (Art. 16)."""
    from freehold.erasing.rectify import rectify

    with open_house(context) as house, output.progress_bars() as progress:
        made, count = rectify(house, document, wrong, right, progress)
    erased.print_rectified(made, count, as_json=as_json)


def survey(context: typer.Context, as_json: Json = False) -> None:
    """Find people in all documents now, so that requests need not wait for it, and count what is about them."""
    from freehold.erasing.identity import mentions_of

    with open_house(context) as house, output.progress_bars() as progress:
        found = mentions_of(house).survey(progress)
    erased.print_survey(found, as_json=as_json)


@hold_app.command("add")
def add_hold(
    context: typer.Context,
    document: Annotated[str, typer.Argument(help="Id of the document.")],
    basis: Annotated[Literal["17(3)(a)", "17(3)(b)", "17(3)(c)", "17(3)(d)", "17(3)(e)"], typer.Option(help="Why.")],
    review: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="When the reason is looked at again.")],
    as_json: Json = False,
) -> None:
    """Keep a document whatever is erased: it is hidden then, and the certificate says so."""
    from freehold.erasing.holds import add

    with open_house(context) as house:
        add(house, document, basis, review)
        erased.print_holds(house.shelf.holds(), as_json=as_json)


@hold_app.command("remove")
def remove_hold(
    context: typer.Context, document: Annotated[str, typer.Argument(help="Id of the document.")], as_json: Json = False
) -> None:
    """End a hold; erasures that it stopped are gone on with by ``freehold erase --resume``."""
    from freehold.erasing.holds import remove

    with open_house(context) as house:
        remove(house, document)
        erased.print_holds(house.shelf.holds(), as_json=as_json)


@hold_app.command("list")
def list_holds(context: typer.Context, as_json: Json = False) -> None:
    """List documents under a hold, with its reason and when that is looked at again."""
    with open_house(context) as house:
        erased.print_holds(house.shelf.holds(), as_json=as_json)


def retrain(context: typer.Context, as_json: Json = False) -> None:
    """Train models again that learned from what was erased, and put them in the place of the old through the gate."""
    from freehold.erasing.erase import retrain_all

    with open_house(context) as house, output.progress_bars() as progress:
        outcomes = retrain_all(house, progress)
    erased.print_retrained(outcomes, as_json=as_json)


def verify(
    certificate: Annotated[Path, typer.Argument(help="The certificate, as freehold erase wrote it.")],
    key: Annotated[
        str | None, typer.Option(help="The house's public key in base64, as it is known from elsewhere.")
    ] = None,
    log_key: Annotated[str | None, typer.Option(help="The public key of the house's ledger, likewise.")] = None,
    as_json: Json = False,
) -> None:
    """Check a certificate, a residency statement or the one in an audit's report: exit 0 if it holds, 1 if not.

    ``freehold/proof/verify.py`` does it alone, where there is no Freehold.
    """
    from freehold.proof import statement as residency
    from freehold.proof import verify as offline

    try:
        written = certificate.read_bytes()
    except OSError as e:
        hint = "freehold requests show tells where certificates lie"
        raise UsageError(f"{certificate} cannot be read: {e.strerror}", hint=hint) from None
    keys = [_public_key(one, option) for one, option in ((key, "--key"), (log_key, "--log-key"))]
    try:
        bundle = json.loads(written)
        if isinstance(bundle, dict) and "findings" in bundle:
            bundle = bundle.get("residency")
            offline.need(bundle is not None, "the report holds no signed statement")
        else:
            offline.need(written == offline.canonical(bundle), "the file is not as it was written")
        is_residency = residency.is_residency(bundle)
        found = residency.verify(bundle, *keys) if is_residency else offline.verify(bundle, *keys)
    except (ValueError, offline.Invalid) as problem:
        if as_json:
            output.print_json({"valid": False, "problem": str(problem)})
        else:
            output.out.print(f"[red]invalid:[/] {problem}", soft_wrap=True)
        raise typer.Exit(1) from None
    unknown = offline.unknown(*keys)
    if as_json:
        told = {"residency": found} if is_residency else {"certificate": found, "never_proven": offline.NEVER_PROVEN}
        output.print_json({"valid": True, **told, "keys_checked": not unknown})
        return
    lines = _residency(found) if is_residency else [offline.told(found)]
    output.out.print("\n".join([*lines, *unknown]), soft_wrap=True, markup=False)


def _residency(found: Mapping[str, Any]) -> list[str]:
    leaves = ", ".join(f"{way['host']} ({way['operator']}, {way['region']})" for way in found["leaves"])
    return [f"valid: leaves the house to: {leaves or 'nobody'}", f"not seen: {'; '.join(found['notSeen'])}"]


def _public_key(text: str | None, option: str) -> bytes | None:
    from freehold.proof.verify import public_key

    if text is None:
        return None
    try:
        return public_key(text)
    except ValueError:
        hint = "a public key is 32 bytes in base64; leave the option out where none is known from elsewhere"
        raise UsageError(f"{option} is no public key", hint=hint) from None
