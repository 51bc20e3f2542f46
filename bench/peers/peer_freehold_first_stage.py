"""Freehold with reranking off: the same two legs and the same fusion as the peers."""

from __future__ import annotations

from common import serve
from peer_freehold import Freehold

if __name__ == "__main__":
    serve(lambda options: Freehold(options, {"reranker.kind": "none"}))
