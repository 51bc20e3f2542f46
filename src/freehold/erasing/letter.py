"""What the house holds on a person as a page that they can read: self-contained, without script or request."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from freehold.erasing.access import Access


def page(found: Access) -> str:
    """The page, to be written as UTF-8."""
    return _template().render(it=found)


@cache
def _template() -> Template:
    loader = PackageLoader("freehold.erasing", "")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("letter.html.j2")
