"""Endpoints in the settings: each says who runs it, where and what for, or the house does not open."""

from __future__ import annotations

from pathlib import Path

import pytest

from freehold import config
from freehold.core.errors import SettingsError
from freehold.endpoints import Endpoint, endpoints, is_private

REMOTE = '[generator]\nkind = "openai"\nmodel = "m"\nendpoint = "{}"\nregion = "eu"\n'
ALSO = '[residency]\nalso = [{{ host = "{}", operator = "Keys Ltd", region = "eu", purpose = "keys" }}]\n'


def load(folder: Path, text: str) -> config.Settings:
    (folder / "freehold.toml").write_text(text)
    return config.load(folder / "freehold.toml")


def test_every_endpoint_is_listed_with_its_purpose(tmp_path: Path) -> None:
    part = 'kind = "openai"\nmodel = "m"\nendpoint = "https://api.example/v1"\nregion = "eu"\noperator = "Example SA"\n'
    settings = load(
        tmp_path,
        "".join(f"[{name}]\n{part}" for name in ("embedder", "generator", "judge"))
        + '[index]\nkind = "qdrant"\nendpoint = "http://127.0.0.1"\n'
        + '[tracking]\nkind = "mlflow"\nendpoint = "http://10.0.0.7:5000"\nregion = "eu"\noperator = "Data team"\n'
        + '[server]\noidc_issuer = "https://id.example"\noidc_region = "eu"\noidc_operator = "Id GmbH"\n'
        + 'otlp_endpoint = "http://[fd00::7]:4318"\notlp_region = "eu"\notlp_operator = "Data team"\n'
        + ALSO.format("keys.example:8443"),
    )
    found = endpoints(settings)
    assert [(one.setting, one.host, one.port) for one in found] == [
        ("embedder.endpoint", "api.example", 443),
        ("generator.endpoint", "api.example", 443),
        ("judge.endpoint", "api.example", 443),
        ("index.endpoint", "127.0.0.1", 6333),
        ("tracking.endpoint", "10.0.0.7", 5000),
        ("server.oidc_issuer", "id.example", 443),
        ("server.otlp_endpoint", "fd00::7", 4318),
        ("residency.also", "keys.example", 8443),
    ]
    assert all(one.purpose for one in found)
    assert [one.setting for one in found if one.is_here] == ["index.endpoint"]


def test_no_endpoint_no_way_out(tmp_path: Path) -> None:
    assert endpoints(load(tmp_path, "")) == ()


def test_an_operator_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no operator") as caught:
        load(tmp_path, REMOTE.format("https://api.example/v1"))
    assert "generator.operator" in caught.value.hint
    assert "house.operator" not in caught.value.hint


@pytest.mark.parametrize("host", ["10.1.2.3", "vllm", "vllm.models.svc", "llm.internal", "[fd00::1]"])
def test_on_a_private_address_the_houses_operator_stands(tmp_path: Path, host: str) -> None:
    text = REMOTE.format(f"http://{host}:8000/v1")
    with pytest.raises(SettingsError, match="no operator") as caught:
        load(tmp_path, text)
    assert "house.operator" in caught.value.hint
    (one,) = endpoints(load(tmp_path, f'[house]\noperator = "Meridian IT"\n{text}'))
    assert one.operator == "Meridian IT"


def test_the_houses_operator_does_not_stand_for_the_world(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no operator"):
        load(tmp_path, '[house]\noperator = "Meridian IT"\n' + REMOTE.format("https://api.example/v1"))
    assert not is_private("api.example.com")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[residency]\nalso = [{ host = "a.example", operator = "A", region = "eu" }]\n', "does not say host"),
        ('[residency]\nalso = [{ host = "a", operator = "", region = "eu", purpose = "p" }]\n', "does not say host"),
        ('[residency]\nalso = ["a.example"]\n', "does not say host"),
        (ALSO.format("https://a.example/x"), "is no host"),
        (ALSO.format("a.example:99999"), "is no host"),
        (ALSO.format("a.example").replace('"eu"', '"us"'), "not in house.regions"),
    ],
)
def test_further_hosts_are_declared_whole(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(tmp_path, text)


def test_what_is_rendered_reads_back(tmp_path: Path) -> None:
    settings = load(tmp_path, ALSO.format("keys.example"))
    again = load(tmp_path, config.render({"residency.also": settings.residency.also}))
    assert again.residency == settings.residency
    assert endpoints(again) == (
        Endpoint("residency.also", "keys", "as its purpose says", "keys.example", 443, "Keys Ltd", "eu"),
    )
