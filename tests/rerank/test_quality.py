"""The default ranking on real collections, measured by the script that made the table of ADR 8."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent


@pytest.mark.slow
@pytest.mark.parametrize(("collection", "splits"), [("contractnli", ("dev", "test")), ("obliqa", ("dev",))])
def test_default_beats_plain_rrf_and_hybrid_beats_both_legs(data, minilm, collection, splits):
    if not (data / collection).is_dir():
        pytest.skip(f"no {collection} here")
    script = REPOSITORY / "bench" / "rerank" / "quality.py"
    done = subprocess.run(
        [sys.executable, script, data / collection, "--split", *splits], capture_output=True, check=True
    )
    table = json.loads(done.stdout)["rankings"]
    hybrid, default = table["weighted"], table["weighted+maxsim 2 bit"]
    assert hybrid["nDCG@10"] > max(table["dense"]["nDCG@10"], table["lexical"]["nDCG@10"])
    assert default["nDCG@10"] > hybrid["nDCG@10"]
    gain, low, _ = default["nDCG@10 against rrf, ci95"]
    assert gain > low > 0
    assert abs(default["nDCG@10"] - table["weighted+maxsim float32"]["nDCG@10"]) < 0.005
