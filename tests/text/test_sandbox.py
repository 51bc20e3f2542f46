"""The sandbox with real files and real children: what one file does never reaches the next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from freehold.text.parse.outcome import ParseLimits, Rejected
from freehold.text.parse.parser import parse
from freehold.text.prepare import ParsedDoc, prepare
from freehold.text.sandbox import ParserPool
from freehold.text.sandbox_worker import decode, encode

LONG = 20_000_000
SENTENCE = "The supplier shall deliver the goods within thirty days after the order was placed.\n"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.md"
    path.write_text(f"# Terms\n\n{SENTENCE * 3}")
    return path


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A text of 18 megabytes: several seconds of cleaning."""
    path = tmp_path / "slow.txt"
    path.write_text("".join(f"{n} {SENTENCE}" for n in range(200_000)))
    return path


def children() -> set[int]:
    listed = Path("/proc/self/task").glob("*/children")
    return {int(pid) for file in listed for pid in file.read_text().split()}


def reasons(pool: ParserPool, *paths: Path) -> list[str]:
    return [r.reason if isinstance(r, Rejected) else "text" for _, r in pool.map(paths)]


def test_a_child_reads_what_the_parent_would(good: Path) -> None:
    with ParserPool(workers=1) as pool:
        [(path, doc)] = pool.map([good])
    parsed = parse(good.read_bytes(), name=good.name)
    assert not isinstance(parsed, Rejected)
    assert path == good
    assert doc == prepare(parsed, source=good.read_bytes())
    assert isinstance(doc, ParsedDoc)
    assert (doc.language, doc.size_bytes, len(doc.signature)) == ("en", good.stat().st_size, 512)


def test_results_come_in_order_and_paths_are_taken_as_needed(good: Path, tmp_path: Path) -> None:
    taken = 0

    def paths() -> Iterator[Path]:
        nonlocal taken
        for n in range(40):
            taken += 1
            path = tmp_path / f"{n}.txt"
            path.write_text(f"Document {n}. {SENTENCE}")
            yield path

    seen = []
    with ParserPool(workers=2) as pool:
        for path, doc in pool.map(paths()):
            seen.append(path.stem)
            assert isinstance(doc, ParsedDoc)
            assert doc.parsed.text.startswith(f"Document {path.stem}.")
            assert taken <= len(seen) + 4
    assert seen == [str(n) for n in range(40)]


def test_no_child_outlives_the_pool(good: Path) -> None:
    before = children()
    with ParserPool(workers=2) as pool:
        for _ in pool.map([good] * 10):
            break
        assert children() - before
    assert children() <= before


def test_processor_time_is_limited_for_each_file(good: Path, slow: Path) -> None:
    with ParserPool(workers=1, limits=ParseLimits(cpu_s=1, max_text_chars=LONG)) as pool:
        assert reasons(pool, good, slow, good) == ["text", "timeout", "text"]


def test_time_used_by_earlier_files_does_not_count(tmp_path: Path) -> None:
    """Together these take more than the second that each of them may take."""
    path = tmp_path / "half.txt"
    path.write_text(SENTENCE * 20_000)
    with ParserPool(workers=1, limits=ParseLimits(cpu_s=1)) as pool:
        outcomes = []
        while not outcomes or _processor_time_s(children()) < 2.5:
            outcomes += reasons(pool, path)
    assert set(outcomes) == {"text"}


def _processor_time_s(pids: set[int]) -> float:
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return max(int(f[11]) + int(f[12]) for f in fields) / os.sysconf("SC_CLK_TCK")


def test_wall_clock_is_limited(good: Path, slow: Path) -> None:
    with ParserPool(workers=1, limits=ParseLimits(wall_s=0.5, max_text_chars=LONG)) as pool:
        assert reasons(pool, slow, good) == ["timeout", "text"]


def test_memory_is_limited(good: Path, tmp_path: Path) -> None:
    """18 megabytes of JSON that would make some 500 of Python objects."""
    path = tmp_path / "wide.json"
    path.write_text("[" + '{"a":[]},' * 2_000_000 + "[]]")
    with ParserPool(workers=1, limits=ParseLimits(memory_bytes=500 * 2**20)) as pool:
        assert reasons(pool, path, good) == ["memory", "text"]


def test_size_is_limited_before_reading(good: Path, slow: Path) -> None:
    with ParserPool(workers=1, limits=ParseLimits(max_bytes=2**20)) as pool:
        assert reasons(pool, slow, good) == ["too_large", "text"]


def test_a_killed_child_costs_its_file_only(good: Path, slow: Path) -> None:
    before = children()
    with ParserPool(workers=1) as pool:
        reasons(pool, good)
        [child] = children() - before
        start_up_bytes = _bytes_read(child)

    def kill_while_reading() -> None:
        """A child that has read more bytes than starting takes is at work on the file."""
        while not any(_bytes_read(pid) > start_up_bytes + slow.stat().st_size / 2 for pid in children() - before):
            time.sleep(0.01)
        for pid in children() - before:
            os.kill(pid, signal.SIGKILL)

    with ParserPool(workers=1, limits=ParseLimits(max_text_chars=LONG)) as pool:
        threading.Thread(target=kill_while_reading, daemon=True).start()
        assert reasons(pool, slow, good) == ["crashed", "text"]


def _bytes_read(pid: int) -> int:
    return int(Path(f"/proc/{pid}/io").read_text().split()[1])


def test_a_child_killed_between_files_costs_nothing(good: Path) -> None:
    with ParserPool(workers=1) as pool:
        before = children()
        assert reasons(pool, good) == ["text"]
        for pid in children() - before:
            os.kill(pid, signal.SIGKILL)
        assert reasons(pool, good, good) == ["text", "text"]


def test_files_that_cannot_be_read(good: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "link.md").symlink_to(good)
    paths = [tmp_path / "gone.txt", tmp_path, tmp_path / "pipe.txt", tmp_path / "link.md"]
    with ParserPool(workers=1) as pool:
        assert reasons(pool, *paths) == ["unreadable", "unreadable", "unreadable", "text"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_files_without_permission(good: Path) -> None:
    good.chmod(0)
    with ParserPool(workers=1) as pool:
        assert reasons(pool, good) == ["unreadable"]


def test_names_of_any_bytes(tmp_path: Path) -> None:
    names = [os.fsdecode(b"\xff\xfe.txt"), "line\nbreak.txt", 'quote".txt', "ünïcode.txt"]
    for name in names:
        (tmp_path / name).write_text(SENTENCE)
    with ParserPool(workers=2) as pool:
        assert reasons(pool, *(tmp_path / name for name in names)) == ["text"] * 4


def test_a_folder_of_documents_is_no_folder_of_modules(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    with ParserPool(workers=1) as pool:
        assert reasons(pool, good) == ["text"]


def test_secrets_of_the_parent_stay_with_it(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEHOLD_LLM_KEY", "s3cret")
    before = children()
    with ParserPool(workers=1) as pool:
        assert reasons(pool, good) == ["text"]
        [child] = children() - before
        assert b"s3cret" not in Path(f"/proc/{child}/environ").read_bytes()


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import socket; socket.getaddrinfo('localhost', 80)",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.fork()",
        "import pathlib; pathlib.Path('{folder}/written').write_text('x')",
    ],
)
def test_a_child_has_no_network_and_starts_and_writes_nothing(attempt: str, tmp_path: Path) -> None:
    confined = "from freehold.text import sandbox_worker as w\nw._confine(w.ParseLimits())\n"
    code = f"{confined}try:\n    {attempt.format(folder=tmp_path)}\nexcept OSError:\n    print('refused')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "refused\n", done.stderr


def test_records_that_are_already_read(good: Path) -> None:
    parsed = parse(good.read_bytes(), name="x.md")
    assert not isinstance(parsed, Rejected)
    doc = prepare(parsed)
    assert isinstance(doc, ParsedDoc)
    assert doc == prepare(parsed, source=parsed.text.encode())
    assert decode(encode(doc)) == doc


REJECTED = b'{"reason": "%s", "message": %s}'


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"[]", b"{}", b"null", b'{"reason": 1}', b'{"parsed": {}}', b"\xff", b'"reason"', b"[" * 100_000,
        b'{"parsed":' * 100_000, REJECTED % (b"mood", b'""'), REJECTED % (b"crashed", b"1"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_told_apart(answer: bytes) -> None:
    with pytest.raises(ValueError, match="not an outcome"):
        decode(answer)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("size_bytes",), "9"), (("size_bytes",), float("inf")), (("size_bytes",), True), (("language",), None),
        (("signature",), "00"), (("signature",), 1), (("cleaning",), []), (("cleaning", "white_space"), "x"),
        (("parsed", "text"), 1), (("parsed", "text"), "\ud800"), (("parsed", "metadata"), []),
        (("parsed", "metadata"), {"author": 1}), (("parsed", "pages"), [1]), (("parsed", "headings", 0, "level"), "1"),
        (("parsed", "headings", 0, "end"), 10**9), (("parsed", "headings", 0, "start"), -1),
    ],
)  # fmt: skip
def test_an_answer_of_other_types_is_told_apart(place: tuple[str | int, ...], value: object, good: Path) -> None:
    parsed = parse(good.read_bytes(), name="x.md")
    assert not isinstance(parsed, Rejected)
    answer = json.loads(encode(prepare(parsed)))
    inner = answer
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(ValueError, match="not an outcome"):
        decode(json.dumps(answer).encode())


def test_a_text_too_long_to_tokenize_at_once_is_rejected(slow: Path) -> None:
    with ParserPool(workers=1) as pool:
        assert reasons(pool, slow) == ["too_large"]


def test_real_files(data: Path) -> None:
    paths = [*sorted((data / "documents").iterdir()), *sorted((data / "contracts-raw").glob("*.txt"))]
    with ParserPool() as pool:
        outcomes = dict(pool.map(paths))
    assert list(outcomes) == paths
    assert sum(isinstance(outcome, Rejected) for outcome in outcomes.values()) == 6
    contracts = [doc for path, doc in outcomes.items() if path.parent.name == "contracts-raw" and path.suffix == ".txt"]
    assert {doc.language for doc in contracts if isinstance(doc, ParsedDoc)} == {"en"}
