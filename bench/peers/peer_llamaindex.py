"""LlamaIndex: VectorStoreIndex over FAISS and BM25Retriever under QueryFusionRetriever, without query generation.

The built-in SimpleVectorStore loops over all vectors in Python: at ten thousand it is no fair choice.
"""

from __future__ import annotations

from pathlib import Path

import faiss
import Stemmer
import torch
from llama_index.core import Document, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.llms import MockLLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.retrievers.bm25 import BM25Retriever
from llama_index.vector_stores.faiss import FaissVectorStore

from common import CANDIDATES, CHUNK_TOKENS, Options, System, distinct, passages, serve

DIM = 384


class LlamaIndex(System):
    packages = (
        "llama-index-core",
        "llama-index-retrievers-bm25",
        "llama-index-vector-stores-faiss",
        "sentence-transformers",
        "torch",
    )

    def __init__(self, options: Options) -> None:
        torch.set_num_threads(options.threads)
        self.embedder = HuggingFaceEmbedding(options.model, device="cpu", embed_batch_size=options.batch)

    def prepare(self, store: Path) -> None:
        self.store = store

    def ingest(self, corpus: Path) -> int:
        documents = [
            Document(text=p.text, metadata={"title": p.title, "id": p.id}, excluded_embed_metadata_keys=["id"])
            for p in passages(corpus)
        ]
        splitter = SentenceSplitter(chunk_size=CHUNK_TOKENS, chunk_overlap=32)
        nodes = splitter.get_nodes_from_documents(documents)
        # The model's vectors have unit length, so that the inner product is the cosine.
        vectors = FaissVectorStore(faiss.IndexFlatIP(DIM))
        context = StorageContext.from_defaults(vector_store=vectors)
        index = VectorStoreIndex(nodes, storage_context=context, embed_model=self.embedder)
        lexical = BM25Retriever.from_defaults(
            nodes=nodes, similarity_top_k=CANDIDATES, stemmer=Stemmer.Stemmer("english"), language="english"
        )
        index.storage_context.persist(str(self.store / "index"))
        lexical.persist(str(self.store / "bm25"))
        return len(documents)

    def open(self, store: Path) -> None:
        folder = str(store / "index")
        vectors = FaissVectorStore.from_persist_dir(folder)
        context = StorageContext.from_defaults(vector_store=vectors, persist_dir=folder)
        index = load_index_from_storage(context, embed_model=self.embedder)
        lexical = BM25Retriever.from_persist_dir(str(store / "bm25"))
        lexical.stemmer = Stemmer.Stemmer("english")
        self.retriever = QueryFusionRetriever(
            [index.as_retriever(similarity_top_k=CANDIDATES), lexical],
            llm=MockLLM(),
            mode="reciprocal_rerank",
            similarity_top_k=CANDIDATES,
            num_queries=1,
            use_async=False,
        )

    def search(self, text: str, k: int) -> list[str]:
        return distinct([hit.node.metadata["id"] for hit in self.retriever.retrieve(text)], k)


if __name__ == "__main__":
    serve(LlamaIndex)
