"""Who calls: a key of the house or a token of its OpenID provider, what they may do, and within which limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from freehold.core.access import Caller as Reader
from freehold.core.access import is_name
from freehold.http.problems import Refused
from freehold.serving.keys import SCOPES, Scope
from freehold.serving.service import Service

COOKIE = "freehold_key"
BEARER = HTTPBearer(
    auto_error=False, description="A key made by `freehold keys add`, or a token of the OpenID provider."
)
_LOWER: dict[Scope, tuple[Scope, ...]] = {"ask": ("ask", "ingest", "admin", "dpo"), "ingest": ("ingest", "admin")}
"""Scope -> those that include it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever calls, as far as the service knows."""

    id: str
    """Of the key, or the token's subject as a digest."""
    name: str
    scopes: tuple[Scope, ...]
    groups: tuple[str, ...] | None
    """None: sees every document."""

    @property
    def reader(self) -> Reader | None:
        """Whose documents they see; None: everybody's."""
        return None if self.groups is None else Reader(frozenset(self.groups))

    def may(self, scope: Scope) -> bool:
        """Whether one of their scopes includes this one."""
        return not set(self.scopes).isdisjoint(_LOWER.get(scope, (scope,)))


def service_of(request: Request) -> Service:
    """The service that the application was made for."""
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(service_of)]


async def caller_of(
    request: Request, service: ServiceOf, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
) -> Caller:
    """Whoever calls. Raises Refused: 401 without a valid key, 429 above the key's rate."""
    secret = bearer.credentials if bearer else request.headers.get("x-api-key") or ""
    if not secret:
        hint = "send Authorization: Bearer KEY; freehold keys add NAME --scope ask makes one"
        raise Refused(401, "no_key", "the request has no key", hint=hint, WWW_Authenticate="Bearer")
    caller = await known(request, service, secret)
    if caller is None:
        hint = "freehold keys list shows which are valid"
        raise Refused(401, "wrong_key", "the key is not known, or not any more", hint=hint, WWW_Authenticate="Bearer")
    wait_s = service.limit.wait_s(caller.id)
    if wait_s:
        service.metrics.refused.labels("rate").inc()
        raise Refused(429, "rate", "more requests than the key may send", hint="slow down", Retry_After=str(wait_s))
    request.state.caller = caller
    return caller


async def known(request: Request, service: Service, secret: str) -> Caller | None:
    """Whose secret or token it is."""
    key = service.keys.bearer(secret)
    if key is not None:
        return Caller(key.id, key.name, key.scopes, key.groups)
    tokens = request.app.state.tokens
    if tokens is not None and secret.count(".") == 2:
        return await asyncio.to_thread(tokens.caller, secret)
    return None


def needs(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """A dependency: the caller, who has the scope. Raises Refused with 403 where they have not."""

    async def checked(caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
        if not caller.may(scope):
            held = ", ".join(caller.scopes) or "none"
            raise Refused(403, "scope", f"the key has not the scope {scope}", hint=f"it has: {held}")
        return caller

    return checked


MayAsk = Annotated[Caller, Depends(needs("ask"))]
MayIngest = Annotated[Caller, Depends(needs("ingest"))]
MayAdmin = Annotated[Caller, Depends(needs("admin"))]
IsOfficer = Annotated[Caller, Depends(needs("dpo"))]


class Tokens:
    """Bearer tokens of an OpenID provider (RFC 9068): signature by its published keys, issuer, audience, time."""

    def __init__(self, issuer: str, audience: str) -> None:
        self._issuer, self._audience = issuer.rstrip("/"), audience
        self._keys: Any = None

    def caller(self, token: str) -> Caller | None:
        """None for a token that is not valid, and where the provider cannot be reached. Blocks; for a thread."""
        import jwt

        try:
            key = self._published().get_signing_key_from_jwt(token)
            algorithms = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
            claims = jwt.decode(
                token,
                key.key,
                algorithms=algorithms,
                audience=self._audience,
                issuer=[self._issuer, f"{self._issuer}/"],
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except Exception:  # what cannot be verified, for whatever reason, opens nothing
            return None
        return _from_claims(claims)

    def _published(self) -> Any:
        import json
        from urllib.request import urlopen

        import jwt

        if self._keys is None:
            with urlopen(f"{self._issuer}/.well-known/openid-configuration", timeout=5) as answer:  # noqa: S310
                where = json.load(answer)["jwks_uri"]
            self._keys = jwt.PyJWKClient(where, cache_keys=True, lifespan=300, timeout=5)
        return self._keys


def _from_claims(claims: dict[str, Any]) -> Caller:
    """Scopes are ``freehold:ask`` and so on, in ``scope`` or ``roles``; without ``groups`` there are none."""
    from freehold.core.ids import sha256_hex

    said = [*str(claims.get("scope", "")).split(), *_strings(claims.get("roles"))]
    scopes = tuple(scope for scope in SCOPES if f"freehold:{scope}" in said)
    named = tuple(sorted({group for group in _strings(claims.get("groups")) if is_name(group)}))
    groups = None if "freehold:all-documents" in said else named
    subject = sha256_hex(str(claims["sub"]).encode())[:32]
    return Caller(subject, "token", scopes, groups)


def _strings(value: object) -> Collection[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
