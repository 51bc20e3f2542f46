from __future__ import annotations

import json
import socket
import time

import pytest

from freehold.core.errors import CutShort, EndpointFault, SettingsError, TimedOut
from freehold.models import generate_openai
from freehold.models.generate import NOT_FOUND
from freehold.models.generate_openai import OpenAIGenerator
from freehold.testing.generator import PASSAGES, QUESTION, GeneratorCase
from simulator import GONE, Script, serving

KEY = "sk-very-secret"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(generate_openai, "FIRST_PAUSE_S", 0.01)


def ask(script: Script, *, timeout_s: float = 5.0) -> str:
    with serving(script) as url:
        return "".join(OpenAIGenerator(url, "m", api_key=KEY).generate(QUESTION, PASSAGES, timeout_s=timeout_s))


def cut_short(script: Script, *, timeout_s: float = 5.0) -> tuple[str, type[CutShort]]:
    """What was said before it was cut, and how."""
    said: list[str] = []
    with serving(script) as url, pytest.raises(CutShort) as caught:
        said.extend(OpenAIGenerator(url, "m").generate(QUESTION, PASSAGES, timeout_s=timeout_s))
    return "".join(said), caught.type


class TestOpenAI(GeneratorCase):
    @pytest.fixture
    def generator(self):
        with serving(Script([["EUR ", "500."]])) as url:
            yield OpenAIGenerator(url, "m")


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (["EUR ", "500."], "EUR 500."),
        (["é", "t", "é"], "été"),
        ([NOT_FOUND], ""),
        ([NOT_FOUND[:5], NOT_FOUND[5:], "."], ""),
        (["**", NOT_FOUND, "** because nothing is said"], ""),
        (["NOT", " so: EUR 500"], "NOT so: EUR 500"),
        (["<th", "ink>maybe 7", "</think>\n\n", "EUR 500"], "EUR 500"),
        (["<think>hm</think>", NOT_FOUND], ""),
        (["NO"], "NO"),
        ([NOT_FOUND[:8]], NOT_FOUND[:8]),
        (["<"], "<"),
        (["One. Two", " is 1", "00. Th", "ree"], "One. Two is 100. Three"),
        ([], ""),
    ],
)
def test_what_is_said(pieces, said):
    assert ask(Script([pieces])) == said


@pytest.mark.parametrize("finish", ["stop", "length"])
def test_thinking_that_never_ends_is_a_fault(finish):
    with pytest.raises(EndpointFault) as caught:
        ask(Script([["<think>maybe. ", "Never ends."]], finish=finish))
    assert "generator.answer_tokens" in caught.value.hint


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_an_answer_that_was_stopped_loses_its_broken_sentence(finish):
    pieces = ["The excess is ", "EUR 500. For heave", " it is EUR 1,500. But for theft see Art. ", "4 and"]
    assert cut_short(Script([pieces], finish=finish)) == ("The excess is EUR 500. For heave it is EUR 1,500.", CutShort)


def test_what_was_said_in_time_stands():
    pieces = ["The excess is EUR 500. For heave", " it is EUR 1,500. But ", 3.0, "for theft."]
    assert cut_short(Script([pieces]), timeout_s=0.5) == ("The excess is EUR 500. For heave it is EUR 1,500.", TimedOut)


@pytest.mark.parametrize("pieces", [[], ["The excess is EUR 1"], ["The excess is EUR 1."]])
def test_an_answer_that_was_stopped_in_its_first_sentence_is_a_fault(pieces):
    with pytest.raises(EndpointFault) as caught:
        ask(Script([pieces], finish="length"))
    assert "generator.answer_tokens" in caught.value.hint


def test_silence_may_be_stopped():
    assert ask(Script([[NOT_FOUND, " since the passages"]], finish="length")) == ""


def test_the_request_carries_question_passages_and_key():
    script = Script([["ok then"]])
    ask(script)
    path, headers, body = script.requests[-1]
    chat = json.loads(body)
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert (chat["model"], chat["stream"], chat["temperature"]) == ("m", True, 0)
    assert all(words in chat["messages"][1]["content"] for words in (QUESTION, PASSAGES[0].text, "3. Excess"))


def test_usage_is_what_the_server_counted():
    with serving(Script([["ok then"]], usage={"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9})) as url:
        generator = OpenAIGenerator(url, "m")
        "".join(generator.generate(QUESTION, PASSAGES, timeout_s=5))
        assert generator.usage == {"prompt_tokens": 7, "completion_tokens": 2}


@pytest.mark.parametrize("trouble", [429, 500, 503, GONE, [None]])
def test_trouble_before_the_first_word_is_tried_again(trouble):
    script = Script([trouble, trouble, ["at last"]])
    assert ask(script) == "at last"
    assert script.chats == 3


@pytest.mark.parametrize("trouble", [429, 502, GONE, [None]])
def test_lasting_trouble_is_a_fault_after_four_attempts(trouble):
    script = Script([trouble])
    with pytest.raises(EndpointFault):
        ask(script)
    assert script.chats == generate_openai.ATTEMPTS


def test_retry_after_beyond_the_deadline_is_not_waited_for():
    script = Script([429], headers={"Retry-After": "30"})
    with pytest.raises(EndpointFault, match="429"):
        ask(script, timeout_s=1)
    assert script.chats == 1


def test_a_stream_cut_after_the_first_word_is_a_fault_and_not_repeated():
    script = Script([["Once. ", "Twice ", None], ["never"]])
    with serving(script) as url:
        pieces = OpenAIGenerator(url, "m").generate(QUESTION, PASSAGES, timeout_s=5)
        assert next(pieces) == "Once."
        with pytest.raises(EndpointFault, match="cut"):
            list(pieces)
    assert script.chats == 1


@pytest.mark.parametrize(
    ("status", "error", "message", "hint"),
    [
        (401, {}, "refused the key", "api_key"),
        (403, {}, "refused the key", "api_key"),
        (404, {}, "does not serve m", "m-7b, m-70b"),
        (400, {"message": "maximum context length is 2048 tokens"}, "longer than the context", "context_tokens"),
        (400, {"type": "exceed_context_size_error"}, "longer than the context", "context_tokens"),
        (418, {"message": "secret prompt text"}, "answered 418", "log"),
        (307, {}, "answered 307", "log"),
    ],
)
def test_a_refusal_says_what_to_do_and_is_final(status, error, message, hint):
    script = Script([status], error=error, models=[{"id": "m-7b"}, {"id": "m-70b"}])
    with pytest.raises(EndpointFault, match=message) as caught:
        ask(script)
    assert hint in caught.value.hint
    assert script.chats == 1
    assert "secret" not in f"{caught.value} {caught.value.hint}"
    assert KEY not in repr(caught.value)


@pytest.mark.parametrize("garbage", [b"data: {not json}\n\n", b"data: [1, 2]\n\n", b"data: \xff\xfe\n\n"])
def test_garbage_is_a_fault(garbage):
    with pytest.raises(EndpointFault, match="JSON"):
        ask(Script([[garbage]]))


def test_an_error_inside_the_stream_is_a_fault_without_its_text():
    with pytest.raises(EndpointFault, match="failed while answering") as caught:
        ask(Script([["so ", b'data: {"error": {"message": "secret prompt text"}}\n\n']]))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("pieces", [[3.0, "late"], ["early ", 3.0, "late"], [0.2, "a", 0.2, "b", 0.2, "c", 0.2, "d"]])
def test_no_answer_outlives_its_timeout(pieces):
    started = time.monotonic()
    with pytest.raises(EndpointFault, match="in time"):
        ask(Script([pieces]), timeout_s=0.5)
    assert time.monotonic() - started < 2


def test_nobody_listening():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(EndpointFault, match="no connection") as caught:
        list(OpenAIGenerator(f"http://127.0.0.1:{port}/v1", "m").generate(QUESTION, PASSAGES, timeout_s=5))
    assert "running" in caught.value.hint


def test_context_is_the_setting_else_what_the_server_states():
    with serving(Script([["x"]])) as url:
        assert OpenAIGenerator(url, "m").context_tokens == 2048
        assert OpenAIGenerator(url, "m", context_tokens=512).context_tokens == 512
        with pytest.raises(SettingsError, match="other"):
            _ = OpenAIGenerator(url, "other").context_tokens


def test_tokens_are_counted_by_the_server_else_estimated_from_above():
    with serving(Script([["x"]], counts_tokens=True)) as url:
        assert OpenAIGenerator(url, "m").count_tokens("three little words") == 3
    script = Script([["x"]])
    with serving(script) as url:
        generator = OpenAIGenerator(url, "m")
        assert [generator.count_tokens("é" * 5), generator.count_tokens("")] == [5, 0]
        assert sum(path == "/tokenize" for path, _, _ in script.requests) == 1


@pytest.mark.parametrize("trouble", [500, 503, 400, 401])
def test_one_failed_count_does_not_end_counting(trouble):
    script = Script([["x"]], counts_tokens=True, counting_troubles=[trouble])
    with serving(script) as url:
        generator = OpenAIGenerator(url, "m")
        assert [generator.count_tokens("three little words") for _ in range(2)] == [9, 3]


@pytest.mark.parametrize("status", [404, 405, 422, 501])
def test_a_server_that_cannot_count_is_asked_once(status):
    script = Script([["x"]], counts_tokens=True, counting_troubles=[status])
    with serving(script) as url:
        generator = OpenAIGenerator(url, "m")
        assert [generator.count_tokens("three little words") for _ in range(2)] == [9, 9]


@pytest.mark.parametrize("url", [f"http://user:{KEY}@host/v1", f"http://{KEY}@host/v1", f"user:{KEY}@host/v1"])
def test_a_key_in_the_address_is_refused_and_not_quoted(url):
    with pytest.raises(SettingsError) as caught:
        OpenAIGenerator(url, "m")
    assert KEY not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("url", "model"), [("", "m"), ("localhost:8000", "m"), ("ftp://host/v1", "m"), ("http://h/v1", "")]
)
def test_settings_that_cannot_be_meant(url, model):
    with pytest.raises(SettingsError) as caught:
        OpenAIGenerator(url, model)
    assert caught.value.hint
