"""What fusion and late interaction are worth on a collection, and what each codec keeps of it.

    python bench/rerank/quality.py FOLDER [--split dev ...] [--queries 500] [--model all-minilm-l6-v2]

FOLDER is in BEIR layout (corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv). Passages are embedded as title and text by the
house's own embedder, legs are exact: every dense cosine, and BM25 over the house's own terms. Differences are paired,
with 95 % bootstrap intervals over queries. One JSON object on standard output.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from threadpoolctl import threadpool_limits

from freehold.core.types import Leg, ScoredId
from freehold.journeys.fuse import Fusion, fuse, interpolate
from freehold.measure.ranking import Measure, score
from freehold.models.embed import open_embedder
from freehold.models.rerank import Bits, LateInteraction
from freehold.text.terms import TermAnalyzer

CANDIDATES, DEPTH, RRF_K, DENSE_WEIGHT, RERANK_WEIGHT = 100, 50, 60, 0.5, 0.5
RESAMPLES, SEED = 2000, 0

Legs = Mapping[Leg, Sequence[ScoredId]]
Ranking = Sequence[ScoredId]


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def judged(folder: Path, splits: Sequence[str], limit: int) -> dict[str, dict[str, int]]:
    """The first ``limit`` judged queries by id: query id -> passage id -> grade."""
    qrels: dict[str, dict[str, int]] = defaultdict(dict)
    for split in splits:
        for line in (folder / "qrels" / f"{split}.tsv").read_text(encoding="utf-8").splitlines()[1:]:
            query, passage, grade = line.split("\t")
            if float(grade) > 0:
                qrels[query][passage] = int(float(grade))
    return {query: qrels[query] for query in sorted(qrels)[:limit]}


def embedded(texts: Sequence[str], embed: Callable, max_tokens: int, offsets: Callable):
    """Embeddings with token vectors; a text above the model's limit is cut at its last token that fits."""
    cut = []
    for text in texts:
        spans = offsets(text)
        cut.append(text[: spans[max_tokens - 1][1]] if len(spans) > max_tokens else text)
    return embed(cut, tokens=True)


class Bm25:
    """BM25 over every passage: the readable version."""

    def __init__(self, texts: Sequence[str], language: str) -> None:
        self.analyzer, self.language = TermAnalyzer((language,)), language
        postings: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for number, text in enumerate(texts):
            vector = self.analyzer.document(text, language)
            for term, weight in zip(vector.indices, vector.values, strict=True):
                postings[term].append((number, weight))
        self.postings = {term: tuple(map(np.array, zip(*found, strict=True))) for term, found in postings.items()}
        self.passages = len(texts)

    def scores(self, question: str) -> np.ndarray:
        total = np.zeros(self.passages)
        vector = self.analyzer.query(question, self.language)
        for term, weight in zip(vector.indices, vector.values, strict=True):
            if term in self.postings:
                numbers, values = self.postings[term]
                idf = math.log(1 + (self.passages - len(numbers) + 0.5) / (len(numbers) + 0.5))
                total[numbers] += weight * idf * values
        return total


def best(scores: np.ndarray, ids: Sequence[str]) -> list[ScoredId]:
    order = np.lexsort((np.array(ids), -scores))[:CANDIDATES]
    return [ScoredId(ids[i], float(scores[i])) for i in order]


def difference(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Mean paired difference and the bounds of its 95 % interval."""
    gaps = np.array(ours) - np.array(theirs)
    draws = np.random.default_rng(SEED).integers(0, len(gaps), (RESAMPLES, len(gaps)))
    low, high = np.percentile(gaps[draws].mean(axis=1), [2.5, 97.5])
    return [round(float(x), 4) for x in (gaps.mean(), low, high)]


def rankings(all_legs: Sequence[Legs], queries, passages, place: Mapping[str, int]):
    """Name -> one ranking for each query; and codec -> mean bytes a passage and milliseconds of CPU a query."""
    fusions: dict[str, list[Ranking]] = {
        name: [fuse(legs, fusion=name, rrf_k=RRF_K, dense_weight=DENSE_WEIGHT) for legs in all_legs]
        for name in get_args(Fusion)
    }
    found: dict[str, list[Ranking]] = {leg: [legs[leg] for legs in all_legs] for leg in get_args(Leg)} | fusions
    heads = [ranking[:DEPTH] for ranking in fusions["weighted"]]
    exact = [
        [float((q @ passages[place[s.chunk_id]].T).max(1).mean()) for s in h]
        for q, h in zip(queries, heads, strict=True)
    ]
    found["weighted+maxsim float32"] = mixed(heads, exact)
    costs = {}
    needed = sorted({place[s.chunk_id] for head in heads for s in head})
    for bits in get_args(Bits):
        reranker = LateInteraction(passages[0].shape[1], bits=bits)
        codes = dict(zip(needed, reranker.encode([passages[i] for i in needed]), strict=True))
        start = time.process_time()
        scores = [reranker.score(q, [codes[place[s.chunk_id]] for s in h]) for q, h in zip(queries, heads, strict=True)]
        ms = (time.process_time() - start) * 1000 / len(queries)
        found[f"weighted+maxsim {bits} bit"] = mixed(heads, scores)
        size = float(np.mean([len(code.data) for code in codes.values()]))
        costs[reranker.name] = {"bytes_per_passage": round(size), "cpu_ms_per_query": round(ms, 2)}
    return found, costs


def mixed(heads: Sequence[Ranking], scores) -> list[Ranking]:
    return [interpolate(head, values, weight=RERANK_WEIGHT) for head, values in zip(heads, scores, strict=True)]


def report(found: Mapping[str, Sequence[Ranking]], qrels: Sequence[Mapping[str, int]]) -> dict[str, object]:
    def per_query(measure: str, rows: Sequence[Ranking]) -> list[float]:
        # Numbered so that the order of ids is the order of the rows; ranked anew by the measures' own tie rule.
        labels = {f"{n:06}": qrel for n, qrel in enumerate(qrels)}
        run = {f"{n:06}": {s.chunk_id: s.score for s in row} for n, row in enumerate(rows)}
        return score(run, labels, [Measure.parse(measure)])[:, 0].tolist()

    plain = per_query("nDCG@10", found["rrf"])
    table = {}
    for name, rows in found.items():
        values = per_query("nDCG@10", rows)
        table[name] = {
            "nDCG@10": round(float(np.mean(values)), 4),
            "R@10": round(float(np.mean(per_query("R@10", rows))), 4),
            "nDCG@10 against rrf, ci95": difference(values, plain),
        }
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", nargs="+", default=["dev"])
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--model", default="all-minilm-l6-v2")
    parser.add_argument("--language", default="en")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    qrels = judged(args.folder, args.split, args.queries)
    asked = {row["_id"]: row["text"] for row in lines(args.folder / "queries.jsonl") if row["_id"] in qrels}
    corpus = lines(args.folder / "corpus.jsonl")
    ids = [row["_id"] for row in corpus]
    texts = [" > ".join(filter(None, (row.get("title"), row["text"]))) for row in corpus]

    embedder = open_embedder("onnx", args.model, threads=args.threads)
    budget = embedder.info.max_tokens - embedder.overhead_tokens
    start = time.process_time()
    documents = embedded(texts, embedder.embed_documents, budget, embedder.offsets)
    embed_s = time.process_time() - start
    questions = embedded([asked[q] for q in qrels], embedder.embed_queries, budget, embedder.offsets)
    lexicon = Bm25(texts, args.language)
    cosines = questions.vectors @ documents.vectors.T
    legs: list[Legs] = []
    for row, query in zip(cosines, qrels, strict=True):
        lexical = [s for s in best(lexicon.scores(asked[query]), ids) if s.score > 0]
        legs.append({"dense": best(row, ids), "lexical": lexical})
    place = {passage: i for i, passage in enumerate(ids)}
    found, costs = rankings(legs, questions.tokens, documents.tokens, place)
    about = {"collection": args.folder.name, "splits": args.split, "queries": len(qrels), "passages": len(ids)}
    about |= {"model": embedder.info.name, "digest": embedder.info.digest, "embedding_cpu_s": round(embed_s, 1)}
    about |= {"tokens_per_passage": round(float(np.mean([len(t) for t in documents.tokens])), 1)}
    about["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    json.dump({**about, "codecs": costs, "rankings": report(found, list(qrels.values()))}, sys.stdout, indent=1)


if __name__ == "__main__":
    with threadpool_limits(1):  # as the reranker itself; spinning BLAS threads would slow the embedder's
        main()
