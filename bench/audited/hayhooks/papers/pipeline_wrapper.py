"""Haystack's BM25 over a folder of texts, behind Hayhooks: ``POST /papers/run``, and as a chat that quotes the best."""

from __future__ import annotations

import os
from pathlib import Path

from hayhooks import BasePipelineWrapper
from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
from haystack.document_stores.in_memory import InMemoryDocumentStore

QUOTED_CHARS = 600


class PipelineWrapper(BasePipelineWrapper):
    """Hayhooks makes one and calls it for each request, in a thread."""

    def setup(self) -> None:
        """Once, when it starts: ``PAPERS`` names the folder."""
        store = InMemoryDocumentStore()
        papers = sorted(Path(os.environ["PAPERS"]).glob("*.txt"))
        store.write_documents([Document(content=p.read_text(), meta={"source": p.stem}) for p in papers])
        self.pipeline = Pipeline()
        self.pipeline.add_component("retriever", InMemoryBM25Retriever(store, top_k=10))

    def run_api(self, query: str) -> list[dict[str, str]]:
        """The ten best papers."""
        return [{"source": one.meta["source"], "text": one.content[:QUOTED_CHARS]} for one in self._found(query)]

    def run_chat_completion(self, model: str, messages: list[dict[str, str]], body: dict[str, object]) -> str:  # noqa: ARG002 - Hayhooks names them
        """How the best paper begins."""
        found = self._found(messages[-1]["content"])
        return found[0].content[:QUOTED_CHARS] if found else ""

    def _found(self, query: str) -> list[Document]:
        return self.pipeline.run({"retriever": {"query": query}})["retriever"]["documents"]
