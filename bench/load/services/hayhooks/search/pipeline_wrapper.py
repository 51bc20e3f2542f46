"""Haystack's hybrid pipeline as ``bench/peers`` makes it, behind Hayhooks: ``POST /search/run``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hayhooks import BasePipelineWrapper

sys.path.insert(0, os.environ["PEERS"])

from common import Options
from peer_haystack import Haystack


class PipelineWrapper(BasePipelineWrapper):
    """Hayhooks makes one and calls ``run_api`` for each request, in a thread."""

    def setup(self) -> None:
        """Once, when it starts."""
        self.system = Haystack(Options(os.environ["MODEL"], int(os.environ["THREADS"]), batch=8))
        self.system.texts.warm_up()
        self.system.open(Path(os.environ["STORE"]))
        self.pipeline = self.system.pipeline

    def run_api(self, query: str, k: int) -> list[str]:
        """Ids of the best passages."""
        return self.system.search(query, k)
