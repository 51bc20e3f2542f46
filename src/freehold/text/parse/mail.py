"""EML: who wrote to whom, when, and what; then every attachment that can be read, under a heading of its own."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from email.message import Message
from html import escape

from freehold.core.types import ParsedText
from freehold.text.parse.builder import TextBuilder
from freehold.text.parse.outcome import ParseLimits, Unreadable
from freehold.text.parse.web import write_html

MEDIA_TYPE = "message/rfc822"

_SHOWN = ("From", "To", "Cc", "Bcc", "Date")
_ENVELOPED = frozenset({"enveloped-data", "authEnveloped-data"})


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file inside a message."""

    name: str
    data: bytes


def read(data: bytes, limits: ParseLimits) -> ParsedText:
    """Raises Unreadable: encrypted, no_text or too_large."""
    message = email.message_from_bytes(data, policy=email.policy.default)
    if _is_encrypted(message):
        raise Unreadable("encrypted", "The message is encrypted. Export it decrypted.")
    headers = {name: _header(message, name) for name in ("Subject", *_SHOWN)}
    body = message.get_body(preferencelist=("plain", "html"))
    parts = _body_parts(message, body)
    html = any(map(_is_html, parts))
    text = "\n\n".join(_as_html(part) if html else _content(part).strip("\r\n") for part in parts)
    return write_message(headers, text, _attachments(message, body), limits, media_type=MEDIA_TYPE, html=html)


def write_message(
    headers: dict[str, str],
    body: str,
    attachments: Iterable[Attachment],
    limits: ParseLimits,
    *,
    media_type: str,
    html: bool,
) -> ParsedText:
    """A message as text: subject as heading, header lines, body, attachments. Shared by EML and MSG.

    Attachments without readable text are named in ``metadata["attachments_skipped"]`` with the reason.
    """
    builder = TextBuilder(limits.max_text_chars)
    builder.heading(headers.get("Subject", ""), 1)
    builder.block("\n".join(f"{name}: {headers[name]}" for name in _SHOWN if headers.get(name)))
    if html:
        write_html(body, builder)
    else:
        builder.block(body.replace("\r\n", "\n"))
    skipped = _write_attachments(builder, attachments, limits)
    metadata = {"author": headers.get("From", ""), "date": headers.get("Date", ""), "attachments_skipped": skipped}
    return builder.build(media_type, title=headers.get("Subject", ""), metadata=metadata)


def _write_attachments(builder: TextBuilder, attachments: Iterable[Attachment], limits: ParseLimits) -> str:
    from freehold.text.parse.parser import parse_or_raise

    skipped = []
    for number, attachment in enumerate(attachments, start=1):
        try:
            if number > limits.max_attachments or limits.max_depth <= 0:
                raise Unreadable("too_large", "The message holds too many attachments, or too deep.")
            inner = replace(limits, max_depth=limits.max_depth - 1)
            parsed = parse_or_raise(attachment.data, name=attachment.name, limits=inner)
        except Unreadable as unreadable:
            skipped.append(f"{attachment.name} ({unreadable.rejected.reason})")
            continue
        builder.heading(f"Attachment: {attachment.name}", 2)
        builder.append(parsed, below=2)
    return ", ".join(skipped)


def _is_encrypted(message: Message) -> bool:
    kind = message.get_content_type()
    if kind in ("application/pkcs7-mime", "application/x-pkcs7-mime"):
        return str(message.get_param("smime-type") or "enveloped-data") in _ENVELOPED
    return kind == "multipart/encrypted"


def _header(message: Message, name: str) -> str:
    try:
        return " ".join(str(message.get(name, "")).split())
    except (ValueError, IndexError, AttributeError, TypeError, LookupError):
        return ""  # the standard library fails on some malformed headers; the message is worth reading without them


def _body_parts(message: Message, body: Message | None) -> list[Message]:
    """The body and the texts beside it, in order: some mail programs go on with a new part after every attachment."""
    mixed = [part for part in message.walk() if part.get_content_type() == "multipart/mixed"]
    around = [whole for whole in mixed if any(part is body for part in whole.walk())]
    beside = [part for whole in around for part in whole.get_payload() if _is_inline_text(part)]
    return [part for part in message.walk() if part is body or part in beside]


def _is_inline_text(part: object) -> bool:
    if not isinstance(part, Message):
        return False
    kind, disposition = part.get_content_type(), part.get_content_disposition()
    return kind in ("text/plain", "text/html") and disposition != "attachment" and not part.get_filename()


def _is_html(part: Message) -> bool:
    return part.get_content_type() == "text/html"


def _as_html(part: Message) -> str:
    return _content(part) if _is_html(part) else f"<pre>{escape(_content(part))}</pre>"


def _content(part: Message) -> str:
    """The text of a part, as well as its declared and its actual encoding allow."""
    from freehold.text.parse.kind import decode

    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    charset = str(part.get_content_charset() or "utf-8")
    try:
        return data.decode(charset)
    except (UnicodeDecodeError, LookupError):
        return decode(data)


def _attachments(message: Message, body: Message | None) -> Iterator[Attachment]:
    for part in _parts(message):
        alternative = part.get_content_maintype() == "text" and part.get_content_disposition() != "attachment"
        if part is body or (alternative and not part.get_filename()):
            continue
        yield _attachment(part)


def _parts(message: Message) -> Iterator[Message]:
    """The leaves of a message; messages attached to it are leaves."""
    if message.get_content_type() == "message/rfc822" or not message.is_multipart():
        yield message
        return
    for part in message.get_payload():
        if isinstance(part, Message):
            yield from _parts(part)


def _attachment(part: Message) -> Attachment:
    if part.get_content_type() == "message/rfc822" and part.is_multipart():
        inner = part.get_payload(0)
        assert isinstance(inner, Message)
        return Attachment(part.get_filename() or _header(inner, "Subject") or "message.eml", inner.as_bytes())
    data = part.get_payload(decode=True)
    return Attachment(part.get_filename() or "unnamed", data if isinstance(data, bytes) else b"")
