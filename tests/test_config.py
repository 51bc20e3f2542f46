"""freehold.toml: what is accepted, what is refused, and with which words."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold import config
from freehold.core.errors import SettingsError


def load(tmp_path: Path, text: str) -> config.Settings:
    path = tmp_path / "freehold.toml"
    path.write_text(text, encoding="utf-8")
    return config.load(path)


def test_every_value_knows_where_it_came_from(tmp_path: Path) -> None:
    settings = load(tmp_path, '[house]\nname = "A"\n\n[chunking]\nkind = "clauses"\n')
    origins = {key: origin for key, _, origin in settings.items()}
    assert origins["house.name"] == "freehold.toml:2"
    assert origins["chunking.kind"] == "freehold.toml:5"
    assert origins["chunking.max_tokens"] == "default"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[chunking]\nmax_token = 3\n", "chunking.max_token at freehold.toml:2", "chunking.max_tokens"),
        ("[chunkin]\n", "section chunkin at freehold.toml:1", "chunking"),
        ('[chunking]\n\nmax_tokens = "3"\n', "freehold.toml:3 must be a whole number, not a string", "256"),
        ("[chunking]\nmax_tokens = 3\n", "out of range", "at least 64"),
        ("[chunking]\nmax_tokens = true\n", "must be a whole number, not true or false", "256"),
        ('[retrieval]\nmode = "hybird"\n', "freehold.toml:2 is not a choice", "'hybrid'"),
        ("[retrieval]\ndense_weight = 1.5\n", "out of range", "between 0.0 and 1.0"),
        ('[generator]\napi_key = "sk-1"\n', "must be a reference to a secret", "env ="),
        ('[house]\nlanguages = ["english"]\n', "house.languages", "ISO 639-1"),
        ("[house]\nlanguages = []\n", "house.languages is empty", "languages"),
        ("[house]\nlanguages = 3\n", "must be a list of strings", "languages"),
        ("[retrieval]\ndense_weight = nan\n", "out of range", "between"),
        (
            '[generator]\nkind = "openai"\nmodel = "m"\nendpoint = "http://[x"\n',
            "generator.endpoint is not a URL",
            "http://127.0.0.1",
        ),
        ("[house\n", "not valid TOML", "toml.io"),
        ('[generator]\nkind = "openai"\nmodel = "m"\n', "generator.endpoint is not a URL", "http://127.0.0.1"),
        ('[index]\nkind = "qdrant"\n', "index.endpoint is not a URL", "http://127.0.0.1:6333"),
        ('[index]\nkind = "qdrant"\nendpoint = "https://q.example"\n', "has no region", "index.region"),
        (
            '[index]\nkind = "qdrant"\nendpoint = "https://q.example"\nregion = "us"\n',
            "not in house.regions",
            "eu",
        ),
        ('[index]\nkind = "qdrant"\nendpoint = "http://k@127.0.0.1"\n', "holds a secret", "index.api_key"),
        (
            '[generator]\nkind = "openai"\nmodel = "m"\nendpoint = "https://llm.example/v1"\n',
            "has no region",
            "generator.region",
        ),
        (
            '[generator]\nkind = "openai"\nmodel = "m"\nendpoint = "https://llm.example/v1"\nregion = "us"\n',
            "not in house.regions",
            "allowed: eu",
        ),
        (
            '[generator]\nkind = "openai"\nmodel = "m"\nendpoint = "https://me:pw@llm.example/v1"\n',
            "holds a secret",
            "generator.api_key",
        ),
    ],
)
def test_refused(tmp_path: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == 3


def test_endpoints_on_this_machine_need_no_region(tmp_path: Path) -> None:
    text = '[generator]\nkind = "openai"\nmodel = "m"\nendpoint = "http://{}:8000/v1"\n'
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert load(tmp_path, text.format(host)).generator.kind == "openai"


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        config.load(tmp_path / "freehold.toml")
    assert "freehold init" in caught.value.hint


def test_secrets_are_revealed_only_on_demand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(tmp_path, '[generator]\napi_key = { env = "SOME_KEY" }\n')
    assert settings.generator.api_key is not None
    with pytest.raises(SettingsError, match="SOME_KEY"):
        settings.generator.api_key.reveal()
    monkeypatch.setenv("SOME_KEY", "s3cret")
    assert settings.generator.api_key.reveal() == "s3cret"
    assert "s3cret" not in repr(settings)


def test_the_rendered_file_with_every_comment_lifted_is_the_default(tmp_path: Path) -> None:
    lifted = "\n".join(line.removeprefix("# ") for line in config.render({}).splitlines())
    settings = load(tmp_path, lifted)
    assert all(value == default for (_, value, _), (_, default, _) in zip(
        settings.items(), config.Settings().items(), strict=True
    ))  # fmt: skip


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_any_name_survives_rendering(name: str) -> None:
    assert tomllib.loads(config.render({"house.name": name}))["house"]["name"] == name


def test_the_model_follows_the_house_languages() -> None:
    settings = config.Settings()
    assert settings.embedder_model == "all-minilm-l6-v2"
    german = settings.with_values({"house.languages": ("en", "de")}, origin="test")
    assert german.embedder_model == "multilingual-e5-small"
