"""A service that is not ours, audited from outside: Haystack's BM25 over Meridian's papers, behind Hayhooks.

    python -m venv HAY && HAY/bin/pip install hayhooks==2.1.0 haystack-ai==3.4.0
    python bench/audit_hayhooks.py --hayhooks HAY/bin/hayhooks [--out FOLDER]

The papers are read by a house, so that both see the same texts. Prints what is said of the search and of the chat.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from freehold.auditing.forms import page
from freehold.auditing.service.audit import audit_service
from freehold.demo.walk import LANGUAGES, MERIDIAN
from freehold.house import House

HERE = Path(__file__).parent / "audited"
PORT = 1416
START_S = 60


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


def read_papers(work: Path) -> Path:
    """The papers as texts, by their names."""
    papers = work / "papers"
    papers.mkdir()
    with House.create(work / "house", {"house.languages": LANGUAGES}) as house:
        house.ingest([MERIDIAN / "documents"])
        for words in house.shelf.words():
            (papers / f"{Path(words.source).stem}.txt").write_text(words.text)
    return papers


def wait_for(url: str) -> None:
    """Raises TimeoutError where nothing answers."""
    for _ in range(START_S):
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            time.sleep(1)
        else:
            return
    raise TimeoutError(url)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hayhooks", required=True, help="the command, in an environment of its own")
    parser.add_argument("--out", type=Path, help="write the two reports here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        told = {**os.environ, "PAPERS": str(read_papers(Path(work))), "HAYSTACK_TELEMETRY_ENABLED": "false"}
        pipelines = ["--pipelines-dir", str(HERE / "hayhooks")]
        command = [given.hayhooks, "run", "--host", "127.0.0.1", "--port", str(PORT), *pipelines]
        server = subprocess.Popen(command, env=told, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{PORT}"
            wait_for(f"{url}/status")
            for name, mapping in (("search", HERE / "hayhooks.toml"), ("chat", None)):
                report = audit_service(url, MERIDIAN, mapping=mapping, progress=silent)
                print(f"== {name}")
                for finding in report.findings:
                    print(f"{finding.outcome:13} {finding.rule:20} {finding.told}")
                if given.out:
                    given.out.mkdir(parents=True, exist_ok=True)
                    (given.out / f"{name}.html").write_text(page(report))
        finally:
            server.terminate()
            server.wait(10)


if __name__ == "__main__":
    main()
