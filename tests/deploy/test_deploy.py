"""What lies under deploy/ fits the Freehold that lies beside it, and keeps to what it says of itself."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from deploy_files import DEPLOY, REPOSITORY, documents, files, problem_with, run, tool, written_commands
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from freehold import __version__, config

DOCKERFILE = DEPLOY / "Dockerfile"
COMPOSE = DEPLOY / "compose.yaml"
UNITS = sorted(path for path in DEPLOY.iterdir() if path.suffix in {".service", ".timer"})
SERVICES = ["house", "freehold", "vllm", "qdrant"]


# -- commands and settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*files(), REPOSITORY / "docs" / "deploy.md"], ids=lambda path: path.name)
def test_every_command_is_one_of_freehold(path: Path) -> None:
    commands = list(written_commands(path.read_text(encoding="utf-8")))
    assert [told for words in commands if (told := problem_with(words))] == []


def test_the_check_of_commands_sees_what_is_wrong() -> None:
    seen = [problem_with(words) for words in written_commands("run freehold serv now; freehold keys add a --scop ask")]
    assert seen == ["no command serv", "add has no --scop"]
    assert list(written_commands("sudo -u freehold freehold --house /srv/house doctor"))[-1] == ["doctor"]


def test_settings_load(tmp_path: Path) -> None:
    settings = config.load(DEPLOY / "freehold.compose.toml")
    assert settings.generator.endpoint == "http://vllm:8000/v1"
    assert settings.generator.region in settings.house.regions
    assert settings.generator.api_key is not None


def test_what_is_built_has_the_version_of_the_package() -> None:
    assert f"ARG VERSION={__version__}\n" in DOCKERFILE.read_text()
    services = documents(COMPOSE)[0]["services"]
    assert services["freehold"]["image"] == services["house"]["image"] == f"freehold:{__version__}"


def test_constraints_pin_what_the_package_asks_for() -> None:
    lines = (DEPLOY / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    pins = {canonicalize_name(name): version for name, version in pairs}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    for text in [*project["dependencies"], *project["optional-dependencies"]["server"]]:
        asked = Requirement(text)
        assert asked.specifier.contains(pins[canonicalize_name(asked.name)]), text


# -- the image ---------------------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """(instruction, the rest) of the Dockerfile, lines that go on put together."""
    text = re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE.read_text())
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines if line.strip())]


def test_hadolint_has_nothing_to_say() -> None:
    assert run(tool("hadolint"), DOCKERFILE) == ""


def test_the_image_is_built_from_what_is_pinned() -> None:
    told = instructions()
    stages = [rest.split(" AS ")[1] for name, rest in told if name == "FROM"]
    bases = {rest.split(" AS ")[0] for name, rest in told if name == "FROM"} - set(stages)
    assert bases == {"${PYTHON_IMAGE}"}
    assert ("ARG", "PYTHON_IMAGE=python:3.11-slim-bookworm") in told
    assert "ADD" not in dict(told)
    for name, rest in told:
        if name == "RUN":
            assert "curl" not in rest
            assert "wget" not in rest
            assert "apt-get" not in rest or "rm -rf /var/lib/apt/lists" in rest
            for part in re.findall(r"pip [^&]*(?:install|wheel) [^&]*", rest):
                assert "--no-cache-dir" in part
            assert "install" not in rest or "pip" not in rest or "--constraint" in rest or "models pull" in rest
        assert not re.search(r"(?i)(password|secret|token|_key)\s*=", rest) or "type=secret" in rest


def test_the_image_runs_without_rights_and_says_how_it_is() -> None:
    told = instructions()
    last = told[max(at for at, (name, _) in enumerate(told) if name == "FROM") :]
    final = dict(last)
    user, _, group = final["USER"].partition(":")
    assert user.isdecimal()
    assert int(user) >= 10000, "a number that no host gives to a person"
    assert user == group
    assert final["STOPSIGNAL"] == "SIGTERM"
    command = json.loads(final["CMD"])
    assert json.loads(final["ENTRYPOINT"]) == ["freehold"]
    assert problem_with(command) == ""
    check = json.loads(final["HEALTHCHECK"].partition("CMD ")[2])
    assert "/readyz" in check[-1]
    compile(check[-1], "HEALTHCHECK", "exec")
    assert final["VOLUME"] == '["/house"]'
    assert "TMPDIR=/tmp" in final["ENV"]
    labels = " ".join(rest for name, rest in last if name == "LABEL")
    wanted = {"title", "description", "licenses", "version", "revision", "created", "base.name"}
    assert {label for label in wanted if f"org.opencontainers.image.{label}=" in labels} == wanted


def test_what_goes_into_the_image_is_named() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*", "all is left out but what is named"
    named = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {word for name, rest in instructions() if name == "COPY" and "--from" not in rest for word in rest.split()}
    assert {word for word in copied if (REPOSITORY / word).exists() and not word.startswith("./")} - {"."} == named


# -- compose -----------------------------------------------------------------------------------------------------------


def compose() -> dict[str, Any]:
    return documents(COMPOSE)[0]  # type: ignore[no-any-return]


def test_compose_reads_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("x")
    told = run(
        tool("docker-compose"), "-f", COMPOSE, "--profile", "qdrant", "config", "--format", "json",
        env={"LLM_KEY_FILE": str(tmp_path / "key")},
    )  # fmt: skip
    read = json.loads(told)
    assert set(read["services"]) == set(SERVICES)
    command = " ".join(read["services"]["vllm"]["command"])
    assert '"$$(cat' in command, "the container's shell reads the key, not compose"


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_held_tight(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["tmpfs"]
    limits = service["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= set(limits)
    tag = service["image"].rpartition(":")[2]
    assert re.match(r"v?\d+\.\d+\.\d+", tag), "a version, not latest"
    if name != "house":
        assert service["healthcheck"]["test"][0] == "CMD"
    assert not {"privileged", "pid", "ipc", "cap_add"} & set(service)
    assert not any("docker.sock" in volume for volume in service.get("volumes", []))


def test_there_is_one_way_in_and_none_out() -> None:
    read = compose()
    assert read["networks"]["inside"] == {"internal": True}
    assert read["networks"]["front"]["driver_opts"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    published = {name: one["ports"] for name, one in read["services"].items() if "ports" in one}
    assert published == {"freehold": ["127.0.0.1:8080:8080"]}
    assert {n: o.get("networks") for n, o in read["services"].items()} == {
        "house": None, "freehold": ["inside", "front"], "vllm": ["inside"], "qdrant": ["inside"],
    }  # fmt: skip
    assert read["services"]["house"]["network_mode"] == "none"


def test_compose_and_its_settings_speak_of_the_same() -> None:
    services = compose()["services"]
    settings = config.load(DEPLOY / "freehold.compose.toml")
    command = " ".join(services["vllm"]["command"])
    assert f"--served-model-name {settings.generator.model} " in command
    assert settings.generator.api_key is not None
    assert settings.generator.api_key.file == f"/run/secrets/{services['freehold']['secrets'][0]}"
    limits = services["freehold"]["deploy"]["resources"]["limits"]
    engines = settings.server.engines or float(limits["cpus"])  # one for each core of the quota
    assert float(limits["memory"].removesuffix("G")) >= 1 + 0.5 * engines
    assert "freehold" in settings.server.hosts
    assert services["freehold"]["stop_grace_period"] == "45s"
    checked = services["freehold"]["healthcheck"]["test"]
    assert checked[1:] == json.loads(dict(instructions())["HEALTHCHECK"].partition("CMD ")[2])


# -- systemd -----------------------------------------------------------------------------------------------------------


def unit(name: str) -> dict[str, list[str]]:
    """Key -> its values, of every section."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / name).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("name", ["freehold.service", "freehold-schedule.service"])
def test_units_are_held_tight(name: str) -> None:
    read = unit(name)
    wanted = {
        "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes",
        "PrivateDevices": "yes", "CapabilityBoundingSet": "", "RestrictNamespaces": "yes", "IPAddressDeny": "any",
        "ReadWritePaths": "/var/lib/freehold", "UMask": "0077", "User": "freehold",
    }  # fmt: skip
    assert {key: read[key][-1] for key in wanted} == wanted
    assert read["SystemCallFilter"] == ["@system-service", "~@privileged"]
    program, *words = read["ExecStart"][0].split()
    assert program == "/opt/freehold/bin/freehold"
    assert problem_with(words) == ""


def test_systemd_reads_the_units(tmp_path: Path) -> None:
    analyze = tool("systemd-analyze")
    for path in UNITS:
        text = path.read_text().replace("/opt/freehold/bin/freehold", shutil.which("true") or "/bin/true")
        (tmp_path / path.name).write_text(text)
    assert run(analyze, "verify", *sorted(tmp_path.iterdir())) == ""


@pytest.mark.parametrize(("name", "most"), [("freehold.service", 12), ("freehold-schedule.service", 8)])
def test_systemd_finds_little_exposed(name: str, most: int) -> None:
    """In tenths of what systemd-analyze calls exposure, from 0 to 10."""
    run(tool("systemd-analyze"), "security", "--offline=true", f"--threshold={most}", "--no-pager", DEPLOY / name)
