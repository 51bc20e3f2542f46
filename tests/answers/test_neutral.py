"""Words of an answer never become markup."""

from __future__ import annotations

import re

import hypothesis.strategies as st
import pytest
from hypothesis import given

from freehold.journeys.neutral import Neutral, neutral

PARTS = st.lists(
    st.one_of(
        st.just("`"),
        st.sampled_from(
            [
                "![",
                "](",
                "](http://a.b/c?d=",
                ")",
                "[",
                "]",
                "<img src=",
                "<",
                ">",
                "javascript:",
                "https://x.y ",
                "[1]",
                "\n",
                " ",
            ]
        ),
        st.text(max_size=6),
    ),
    max_size=14,
).map("".join)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("see ![x](http://evil/?q=1) and [1]", "see x and [1]"),
        ('go [here](https://a.b/c "t") now', "go here `https://a.b/c` now"),
        ("<img src=http://x/y>done", "done"),
        ("a < b and c > d", "a < b and c > d"),
        ("visit https://evil.example/?d=1 now", "visit `https://evil.example/?d=1` now"),
        ("The excess is 75 euros. [1][2]", "The excess is 75 euros. [1][2]"),
        ("<script>alert(1)</script>", "alert(1)"),
    ],
)
def test_words_stay_and_markup_goes(written: str, shown: str):
    assert neutral(written) == shown
    stream = Neutral()
    assert "".join(map(stream.feed, written)) + stream.end() == shown


def without_code(text: str) -> str:
    """Without addresses that stand as code, which may hold another one."""
    return re.sub(r"`[A-Za-z]+\s*:[^`]*`", "", text)


@pytest.mark.parametrize("stray", ["`", "a ` b ", "``", "` `", "`code` and ` "])
def test_a_stray_backtick_does_not_open_an_address(stray: str):
    shown = neutral(f"{stray}https://evil.example/x now")
    assert shown.endswith("`https://evil.example/x` now")
    assert shown.count("`") == 2


@given(PARTS)
def test_nothing_is_left_that_would_be_fetched_or_followed(text: str):
    shown = neutral(text)
    assert not re.search(r"!\[[^\]\n]*\]\(|<(?:img|script|a)\b", shown)
    assert not re.search(r"(?<!`)\bhttps?://[^\s`<>\])]", without_code(shown))


@given(PARTS, st.data())
def test_what_comes_in_pieces_is_as_neutral(text: str, data: st.DataObject):
    stream, out, at = Neutral(), "", 0
    while at < len(text):
        to = data.draw(st.integers(at + 1, len(text)))
        out += stream.feed(text[at:to])
        at = to
    out += stream.end()
    assert not re.search(r"!\[[^\]\n]*\]\(|<(?:img|script|a)\b", out)
