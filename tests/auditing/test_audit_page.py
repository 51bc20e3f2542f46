"""The page of an audit in a real browser: worst first, nothing asked of anybody, commands to be taken by one click."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from freehold.auditing.finding import Report, Rules, Seen, fault, sound, unclear
from freehold.auditing.forms import page

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 400, "height": 900}


def report(faults: int) -> Report:
    """As long as one of a house in a bad state."""
    rules: Rules[None] = Rules()
    severities = ("low", "medium", "high")

    def said(seen: Seen) -> Any:
        return lambda _: [seen]

    for number in range(faults):
        told = f"{number} files of secrets can be read by others on this machine"
        rules.rule(f"wrong-{number}", theme="safety", severity=severities[number % 3], basis=("CWE-732",))(
            said(fault(told, {"files": number}, fix="`chmod 600 FILE` on each", refs=("a" * 32,)))
        )
    rules.rule("unclear", theme="answers", severity="low", basis=("x",))(said(unclear("nothing", "`freehold watch`")))
    rules.rule("sound", theme="people", severity="low", basis=("x",))(said(sound("all is well", {"looked at": 3})))
    found = tuple(finding for rule in rules.all.values() for finding in rule.check(None))
    told = tuple({"id": id} for id in rules.all)
    return Report("Meridian", "2026-11-27T09:30:00+00:00", "0", {"documents": "38"}, found, told)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_worst_is_on_the_first_screen(chromium: Any, scheme: str, tmp_path: Path) -> None:
    from playwright import sync_api

    (tmp_path / "report.html").write_text(page(report(12)))
    said: list[str] = []
    asked: list[str] = []
    shown = chromium.new_page(viewport=WIDE, color_scheme=scheme)
    shown.on("console", lambda message: said.append(message.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto((tmp_path / "report.html").as_uri())
    shown.screenshot(path=tmp_path / f"{scheme}.png")
    assert said == []
    assert asked == [(tmp_path / "report.html").as_uri()]
    counts = shown.get_by_text("4 high, 4 medium, 4 low")
    worst = shown.locator(".worst li")
    assert worst.all_inner_texts()[0].casefold().startswith("high")
    for each in (counts, worst.first, worst.last):
        assert each.bounding_box()["y"] + each.bounding_box()["height"] <= WIDE["height"]
    severities = [text.split()[0].casefold() for text in shown.locator(".finding h3").all_inner_texts()]
    assert severities == ["high"] * 4 + ["medium"] * 4 + ["low"] * 4
    worst.first.get_by_role("link").click()
    sync_api.expect(shown.locator(".finding").first).to_be_in_viewport()
    shown.locator(".finding .command").first.click()
    assert shown.evaluate("getSelection().toString()") == "chmod 600 FILE"
    shown.set_viewport_size(NARROW)
    assert shown.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    shown.close()


def test_a_house_without_fault_says_so(chromium: Any, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(page(report(0)))
    shown = chromium.new_page(viewport=WIDE)
    shown.goto((tmp_path / "report.html").as_uri())
    assert shown.get_by_text("No fault was found").is_visible()
    assert shown.locator(".worst").count() == 0
    shown.close()
