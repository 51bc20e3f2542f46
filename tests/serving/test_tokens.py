"""Tokens of an OpenID provider, from a small real one on this machine."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import live
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from live import Server

AUDIENCE = "freehold"


class Issuer:
    """Publishes one key and signs with any."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        published = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                pages = {
                    "/.well-known/openid-configuration": {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"},
                    "/keys": {"keys": [{**published, "kid": "one", "use": "sig", "alg": "RS256"}]},
                }
                body = json.dumps(pages.get(self.path, {})).encode()
                self.send_response(200 if self.path in pages else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, *, key: Any = None, algorithm: str = "RS256", **claims: Any) -> str:
        now = int(time.time())
        whole = {"iss": self.url, "aud": AUDIENCE, "sub": "ilse@example.com", "iat": now, "exp": now + 300, **claims}
        return jwt.encode(
            {name: value for name, value in whole.items() if value is not None},
            self.key if key is None else key,
            algorithm=algorithm,
            headers={"kid": "one"},
        )


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.server.shutdown()


@pytest.fixture(scope="module")
def guarded(papers: Path, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    house = live.copied(papers, tmp_path_factory.mktemp("guarded"))
    live.settings(house, f'[server]\noidc_issuer = "{issuer.url}"')
    with Server.over(house) as server:
        yield server


def status(server: Server, token: str, path: str = "/v1/search") -> int:
    return server.post(path, {"query": "kilns"} if path == "/v1/search" else {}, key=token).status_code


def test_scopes_come_with_the_token(guarded: Server, issuer: Issuer):
    assert status(guarded, issuer.token(scope="openid freehold:ask freehold:all-documents")) == 200
    assert status(guarded, issuer.token(roles=["freehold:ask"])) == 200
    assert status(guarded, issuer.token(scope="openid")) == 403
    assert status(guarded, issuer.token(scope="freehold:ask"), "/v1/models/rollback") == 403


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1},
        {"exp": None},
        {"aud": "another"},
        {"aud": None},
        {"iss": "http://elsewhere"},
        {"sub": None},
        {"nbf": 1 << 40},
    ],
)
def test_a_token_that_is_not_for_us_opens_nothing(guarded: Server, issuer: Issuer, claims: dict[str, Any]):
    assert status(guarded, issuer.token(scope="freehold:ask", **claims)) == 401


def test_nobody_else_can_sign(guarded: Server, issuer: Issuer):
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert status(guarded, issuer.token(scope="freehold:ask", key=other)) == 401
    assert status(guarded, issuer.token(scope="freehold:ask", key="x" * 64, algorithm="HS256")) == 401
    curve = ec.generate_private_key(ec.SECP256R1())
    assert status(guarded, issuer.token(scope="freehold:ask", key=curve, algorithm="ES256")) == 401
    head, body, _ = issuer.token(scope="freehold:ask").split(".")
    none = jwt.utils.base64url_encode(b'{"alg":"none","typ":"JWT","kid":"one"}').decode()
    assert status(guarded, f"{none}.{body}.") == 401
    assert status(guarded, f"{head}.{body}.") == 401


def test_the_person_behind_a_token_is_in_no_log(guarded: Server, issuer: Issuer):
    assert status(guarded, issuer.token(scope="freehold:ask")) == 200
    assert "ilse" not in guarded.log.read_text()


def test_keys_work_beside_tokens(guarded: Server):
    assert status(guarded, guarded.key) == 200


def test_mcp_clients_learn_where_tokens_come_from(guarded: Server, issuer: Issuer):
    with guarded.client("nothing") as client:
        refused = client.post("/mcp", json={})
        assert refused.status_code == 401
        where = refused.headers["WWW-Authenticate"].partition('resource_metadata="')[2].rstrip('"')
        told = client.get(where).json()
        assert client.get(where, headers={"Host": "elsewhere.example"}).status_code == 421
    assert told["resource"] == f"{guarded.url}/mcp"
    assert told["authorization_servers"] == [issuer.url]
    assert "freehold:ask" in told["scopes_supported"]


def test_without_a_provider_there_is_nothing_to_learn(server: Server):
    with server.client("nothing") as client:
        assert client.get("/.well-known/oauth-protected-resource/mcp").status_code == 404
        assert client.post("/mcp", json={}).headers["WWW-Authenticate"] == "Bearer"
