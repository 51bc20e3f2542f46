"""The console in a real browser: what it looks like, what it asks of whom, and what the keyboard reaches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from console_house import Console

LEAST_CONTRAST = 4.5
CONTRAST = """() => {
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const ground = each => {
    for (let at = each; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const light = colour => {
    const [r, g, b] = colour.map(c => c / 255).map(c => c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const poor = [];
  for (const each of document.querySelectorAll("body *")) {
    const words = [...each.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    const field = ["INPUT", "SELECT"].includes(each.tagName);
    if ((!words && !field) || !each.getClientRects().length) continue;
    const [a, b] = [light(parse(getComputedStyle(each).color).slice(0, 3)), light(ground(each))];
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < LEAST) poor.push([each.tagName, each.className, each.textContent.slice(0, 40), contrast]);
  }
  return poor;
}""".replace("LEAST", str(LEAST_CONTRAST))
FOCUSED = """() => {
  const at = document.activeElement;
  const style = getComputedStyle(at);
  const isSeen = style.outlineStyle !== "none" || at.tagName === "BODY";
  return [at.id || at.textContent.trim() || at.name || at.tagName, isSeen];
}"""


@pytest.fixture
def page(chromium: Any, filled: tuple[Console, str]) -> Iterator[Any]:
    """Signed in by hand, as a person does it. Nothing is said on the browser's console, nobody else is asked."""
    console, _ = filled
    said: list[str] = []
    asked: set[str] = set()
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    page.goto(f"{console.url}/console")
    page.get_by_label("Key of the house").fill(console.key(name="operator"))
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/console")
    yield page
    context.close()
    assert said == []
    assert asked == {urlsplit(console.url).netloc}


def ask(page: Any, question: str) -> None:
    page.get_by_label("Your question").fill(question)
    page.get_by_role("button", name="Ask", exact=True).click()
    page.wait_for_url("**question=**")


def look(page: Any, name: str, folder: Path) -> None:
    """In light and dark, wide and narrow: nothing runs out of the page, everything can be read."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in (1280, 400):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, (name, scheme, width)
            page.screenshot(path=folder / f"{name}-{scheme}-{width}.png", full_page=True)
        assert page.evaluate(CONTRAST) == [], (name, scheme)
    page.set_viewport_size({"width": 1280, "height": 900})


def test_every_page_in_light_and_dark(page: Any, filled: tuple[Console, str], tmp_path: Path) -> None:
    console, request = filled
    look(page, "home", tmp_path)
    ask(page, "Are leased traction batteries covered?")
    look(page, "answer", tmp_path)
    page.locator("#citation-1 a").click()
    assert page.locator("mark#cited").is_visible()
    look(page, "document", tmp_path)
    page.get_by_role("link", name="Remove this document").click()
    look(page, "remove", tmp_path)
    page.goto(f"{console.url}/console")
    ask(page, "What is the boiling point of tungsten hexafluoride?")
    look(page, "abstained", tmp_path)
    paths = ("documents", "quarantine", "quality", "requests", "subject", "jobs", "models/rollback")
    for path in (*paths, "live?paused=1"):
        page.goto(f"{console.url}/console/{path}")
        look(page, re.sub(r"\W", "-", path), tmp_path)
    version = "00000001-0000-4000-8000-000000000000"
    for name, url in (
        ("request", request),
        ("certificate", f"{request}/certificate"),
        ("promote", f"models/{version}/promote"),
    ):
        page.goto(f"{console.url}/console/{url.removeprefix('/console/')}")
        look(page, name, tmp_path)
    for name, within in (("experiment", "quality"), ("job", "jobs")):
        page.goto(f"{console.url}/console/{within}")
        page.locator("tbody th a").first.click()
        look(page, name, tmp_path)
    page.goto(f"{console.url}/console/cost")
    look(page, "cost", tmp_path)
    page.goto(f"{console.url}/console/subject")
    page.get_by_label("Value 1").fill("Desmond Halpin")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("heading", name="1 document found").wait_for()
    look(page, "shown", tmp_path)
    page.get_by_role("button", name="Sign out").click()
    look(page, "login", tmp_path)


def test_the_report_shows_its_own_style_under_a_strict_policy(page: Any, filled: tuple[Console, str]) -> None:
    console, _ = filled
    page.goto(f"{console.url}/console/quality")
    page.locator("tbody th a").first.click()
    page.get_by_role("link", name="The whole report").click()
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"


def test_sliders_of_the_cost_move_its_figures(page: Any, filled: tuple[Console, str]) -> None:
    console, _ = filled
    page.goto(f"{console.url}/console/cost")
    cell = page.locator("#result tbody td").first
    before = cell.inner_text()
    page.locator("#queries_a_day").focus()
    page.keyboard.press("End")
    page.wait_for_function("before => document.querySelector('#result tbody td').innerText !== before", arg=before)
    assert page.locator("#queries_a_day-value").inner_text() == "1,000,000"
    assert page.url.endswith("?queries_a_day=100")
    moved = cell.inner_text()
    page.reload()
    assert page.locator("#result tbody td").first.inner_text() == moved


def test_the_cost_needs_no_script(filled: tuple[Console, str]) -> None:
    console, _ = filled
    with console.browser("admin") as browser:
        shown = browser.get("/console/cost", queries_a_day=100)
        assert "1,000,000" in shown
        assert "GPT" in shown
        assert "between 0 and 100" in browser.get("/console/cost", status=400, queries_a_day=101)


def test_the_keyboard_reaches_everything(page: Any, filled: tuple[Console, str]) -> None:
    console, request = filled
    page.goto(f"{console.url}{request}")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        name, is_seen = page.evaluate(FOCUSED)
        assert is_seen, name
        reached.append(name)
    wanted = [
        "Skip to the content",
        "Harbour Mutual",
        "Ask",
        "Documents",
        "Requests",
        "Sign out",
        "Carry out these decisions",
    ]
    places = [reached.index(name) for name in wanted]
    assert places == sorted(places)
    page.goto(f"{console.url}/console/documents")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "A"


def test_a_person_decides_by_keyboard_without_scripts(chromium: Any, filled: tuple[Console, str]) -> None:
    console, request = filled
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{console.url}/console/login?back={request}")
    page.get_by_label("Key of the house").fill(console.key("dpo", name="officer"))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{request}")
    page.get_by_label("Somebody else: keep it").check()
    page.get_by_role("button", name="Carry out these decisions").press("Enter")
    page.get_by_text("It is being carried out").or_(page.get_by_text("It waits for its turn")).wait_for()
    page.get_by_role("link", name="Read it").wait_for(timeout=120_000)
    context.close()
