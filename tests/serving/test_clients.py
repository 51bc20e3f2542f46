"""The clients that people have: OpenAI's own, against the service."""

from __future__ import annotations

import openai
import pytest
from live import Server

QUESTION = [
    {"role": "system", "content": "Answer like a pirate."},
    {"role": "user", "content": "Are leased traction batteries covered?"},
]


@pytest.fixture
def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0)


def test_a_chat_has_an_answer_with_citations(client: openai.OpenAI):
    done = client.chat.completions.create(model="freehold", messages=QUESTION)
    message = done.choices[0].message
    assert "not covered" in message.content
    assert "[1]" in message.content
    assert message.citations[0]["quote"] in message.content
    assert done.usage.total_tokens > 0


def test_a_streamed_chat_says_the_same(client: openai.OpenAI):
    whole = client.chat.completions.create(model="freehold", messages=QUESTION).choices[0].message
    options = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model="freehold", messages=QUESTION, stream=True, stream_options=options)
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.content
    assert chunks[-2].choices[0].delta.citations == whole.citations
    assert chunks[-1].usage.total_tokens > 0


def test_embeddings_as_numbers_and_as_bytes(client: openai.OpenAI):
    texts = ["kilns", "windscreens and batteries"]
    coded = client.embeddings.create(model="freehold", input=texts)  # asks for base64
    plain = client.embeddings.create(model="freehold", input=texts, encoding_format="float")
    assert len(coded.data) == 2
    for one, other in zip(coded.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
        assert sum(x * x for x in one.embedding) == pytest.approx(1, abs=1e-3)


def test_models_are_listed(client: openai.OpenAI):
    assert {"freehold", "all-minilm-l6-v2"} <= {model.id for model in client.models.list()}


def test_errors_arrive_as_the_client_s_own(server: Server, client: openai.OpenAI):
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0).models.list()
    with pytest.raises(openai.NotFoundError, match="no such chat model"):
        client.chat.completions.create(model="gpt-4o", messages=QUESTION)
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(model="freehold", messages=[{"role": "user", "content": "!?"}])


def test_texts_are_ranked(server: Server):
    texts = [
        "The tower clock is wound on Sundays.",
        "Traction batteries that are leased are not covered.",
        {"text": "Kilns."},
    ]
    body = {"model": "any", "query": "Is a leased battery covered?", "documents": texts, "top_n": 2}
    results = server.post("/v1/rerank", {**body, "return_documents": True}).json()["results"]
    assert results[0]["index"] == 1
    assert len(results) == 2
    assert results[0]["document"]["text"] == texts[1]
    assert 1 >= results[0]["relevance_score"] > results[1]["relevance_score"]
