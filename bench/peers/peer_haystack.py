"""Haystack: BM25 and embedding retrieval over its in-memory store, joined by reciprocal rank fusion."""

from __future__ import annotations

from pathlib import Path

import torch
from haystack import Document, Pipeline
from haystack.components.joiners import DocumentJoiner
from haystack.components.preprocessors import DocumentSplitter
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack_integrations.components.embedders.sentence_transformers import (
    SentenceTransformersDocumentEmbedder,
    SentenceTransformersTextEmbedder,
)

from common import CANDIDATES, CHUNK_WORDS, OVERLAP_WORDS, Options, System, distinct, passages, serve


class Haystack(System):
    packages = ("haystack-ai", "sentence-transformers-haystack", "sentence-transformers", "torch")

    def __init__(self, options: Options) -> None:
        torch.set_num_threads(options.threads)
        self.documents = SentenceTransformersDocumentEmbedder(
            model=options.model, batch_size=options.batch, progress_bar=False
        )
        self.texts = SentenceTransformersTextEmbedder(model=options.model, progress_bar=False)
        self.splitter = DocumentSplitter(split_by="word", split_length=CHUNK_WORDS, split_overlap=OVERLAP_WORDS)

    def prepare(self, store: Path) -> None:
        self.documents.warm_up()
        self.splitter.warm_up()
        self.path = store / "store.json"
        store.mkdir(parents=True)

    def ingest(self, corpus: Path) -> int:
        whole = [Document(content=p.text, meta={"title": p.title, "passage": p.id}) for p in passages(corpus)]
        pieces = self.splitter.run(documents=whole)["documents"]
        # The title goes into the content, because the BM25 retriever reads nothing else.
        titled = [Document(content=f"{d.meta['title']}\n{d.content}", meta=d.meta) for d in pieces]
        store = InMemoryDocumentStore()
        store.write_documents(self.documents.run(documents=titled)["documents"])
        store.save_to_disk(str(self.path))
        return len(whole)

    def open(self, store: Path) -> None:
        documents = InMemoryDocumentStore.load_from_disk(str(store / "store.json"))
        self.pipeline = Pipeline()
        self.pipeline.add_component("text_embedder", self.texts)
        self.pipeline.add_component("dense", InMemoryEmbeddingRetriever(documents, top_k=CANDIDATES))
        self.pipeline.add_component("lexical", InMemoryBM25Retriever(documents, top_k=CANDIDATES))
        self.pipeline.add_component("joiner", DocumentJoiner(join_mode="reciprocal_rank_fusion"))
        self.pipeline.connect("text_embedder.embedding", "dense.query_embedding")
        self.pipeline.connect("dense", "joiner")
        self.pipeline.connect("lexical", "joiner")

    def search(self, text: str, k: int) -> list[str]:
        found = self.pipeline.run({"text_embedder": {"text": text}, "lexical": {"query": text}})
        return distinct([document.meta["passage"] for document in found["joiner"]["documents"]], k)


if __name__ == "__main__":
    serve(Haystack)
