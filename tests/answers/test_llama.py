"""A real language model behind both of its doors: the embedded generator, and its server's OpenAI protocol."""

from __future__ import annotations

import sys

import pytest

from freehold.core.errors import EndpointFault, ModelMismatch, ModelNotFound, SettingsError
from freehold.models.generate_llama import LlamaGenerator
from freehold.models.generate_openai import OpenAIGenerator
from freehold.testing.generator import PASSAGES, QUESTION, GeneratorCase

pytest.importorskip("xllamacpp")


@pytest.fixture(scope="module")
def llama(smollm):
    return LlamaGenerator(smollm, context_tokens=2048, answer_tokens=96)


class TestLlama(GeneratorCase):
    @pytest.fixture
    def generator(self, llama):
        return llama


@pytest.fixture(scope="module")
def bare_server(smollm):
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(smollm)
    parameters.n_ctx = 1024
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = ["k"]
    parameters.verbosity = -1
    return xllamacpp.Server(parameters)


class TestOpenAIOnARealServer(GeneratorCase):
    @pytest.fixture
    def generator(self, bare_server):
        url = f"{bare_server.listening_address}/v1"
        (name,) = OpenAIGenerator(url, "unknown", api_key="k").served()
        return OpenAIGenerator(url, name, api_key="k", answer_tokens=96)


def test_the_model_states_its_own_limits(llama, smollm):
    assert llama.context_tokens == 2048
    assert llama.name == smollm.stem
    assert llama.count_tokens("hello world") == 2


def test_usage_is_counted(llama):
    text = "".join(llama.generate(QUESTION, PASSAGES, timeout_s=120))
    assert llama.usage["prompt_tokens"] > 100
    assert llama.usage["completion_tokens"] > 0
    assert isinstance(text, str)


def test_too_long_a_prompt_is_a_fault(llama):
    with pytest.raises(EndpointFault, match="longer than the context"):
        list(llama.generate(QUESTION * 500, PASSAGES, timeout_s=60))


def test_the_loopback_server_wants_its_key(llama):
    address = llama._server.listening_address
    with pytest.raises(EndpointFault, match="refused the key"):
        list(OpenAIGenerator(f"{address}/v1", "m").generate(QUESTION, PASSAGES, timeout_s=10))


def test_stopping_early_lets_the_next_question_in(llama):
    first = llama.generate(QUESTION, PASSAGES, timeout_s=120)
    next(first, None)
    first.close()
    list(llama.generate(QUESTION, PASSAGES, timeout_s=60))


def test_no_file(tmp_path):
    with pytest.raises(ModelNotFound):
        LlamaGenerator(tmp_path / "none.gguf")


def test_not_a_model(tmp_path):
    (tmp_path / "bad.gguf").write_bytes(b"not a model")
    with pytest.raises(ModelMismatch):
        LlamaGenerator(tmp_path / "bad.gguf")


def test_without_the_extra(monkeypatch, smollm):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(SettingsError) as caught:
        LlamaGenerator(smollm)
    assert 'pip install "freehold[llama-cpp]"' in caught.value.hint
