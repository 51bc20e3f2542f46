"""LlamaIndex's hybrid retriever as ``bench/peers`` makes it, behind a plain FastAPI route: ``POST /search``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

sys.path.insert(0, os.environ["PEERS"])

from common import Options
from peer_llamaindex import LlamaIndex

system = LlamaIndex(Options(os.environ["MODEL"], int(os.environ["THREADS"]), batch=8))
system.open(Path(os.environ["STORE"]))
app = FastAPI()


class Question(BaseModel):
    """What is asked."""

    query: str
    k: int = 10


@app.get("/status")
def status() -> dict[str, str]:
    """Whether it is up."""
    return {"status": "up"}


@app.post("/search")
def search(question: Question) -> list[str]:
    """Ids of the best passages."""
    return system.search(question.query, question.k)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
