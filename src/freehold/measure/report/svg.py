"""Small pure pieces of SVG: elements, scales, ticks, markers, legends, and labels that keep out of each other's way.

Colours are classes (``s0`` to ``s7`` for series) that the page's style sheet resolves, so that a drawing follows the
reader's colour scheme. Lengths are pixels at the drawing's natural size.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from markupsafe import Markup

FONT_PX = 12.0
COLOURS = 8
LARGEST = 1e15
"""Beyond this a number is no measurement, and differences of doubles lose their digits."""

_NARROW = frozenset("fijlrtI.,:;'|![]() ")
_WIDE = frozenset("mwMW@%")
_ARM = ((0.4, -0.4), (0.4, -1.15), (-0.4, -1.15))
_PLUS = tuple(((x, y), (y, -x), (-x, -y), (-y, x))[turn] for turn in range(4) for x, y in _ARM)
_SHAPES: tuple[tuple[tuple[float, float], ...], ...] = (
    (),  # a circle
    ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    ((0, -1.15), (1.1, 0.85), (-1.1, 0.85)),
    ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
    ((-1.1, -0.85), (1.1, -0.85), (0, 1.15)),
    _PLUS,
    tuple((0.75 * (x - y), 0.75 * (x + y)) for x, y in _PLUS),
)
STAR = tuple(
    (radius * math.sin(turn * math.pi / 5), -radius * math.cos(turn * math.pi / 5))
    for turn, radius in enumerate((1.5, 0.65) * 5)
)


def finite(values: Iterable[float | None]) -> list[float]:
    """Those that can be drawn, in the order given."""
    return [value for value in values if value is not None and abs(value) < LARGEST]


def tag(name: str, *children: str, **attributes: str | float | None) -> Markup:
    """An element. ``class_`` is written class and ``text_anchor`` text-anchor; None is left out; text is escaped."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), number(value))
        for key, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, Markup("").join(children))


def number(value: str | float) -> str:
    """A length with at most two decimals."""
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def drawing(name: str, title: str, description: str, width: float, height: float, *children: str) -> Markup:
    """A whole drawing. ``name`` is unique on its page and makes the ids of title and description."""
    return tag(
        "svg",
        tag("title", title, id=f"{name}-title"),
        tag("desc", description, id=f"{name}-desc"),
        *children,
        class_="plot",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        viewBox=f"0 0 {number(width)} {number(height)}",
        width=width,
        height=height,
    )


def text(x: float, y: float, content: str, *, anchor: str = "start", class_: str = "label") -> Markup:
    """One line of text whose baseline is at y."""
    return tag("text", content, x=x, y=y, text_anchor=None if anchor == "start" else anchor, class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, *, class_: str) -> Markup:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def path(points: Sequence[tuple[float, float]], *, class_: str, closed: bool = False, title: str = "") -> Markup:
    """A line through the points."""
    steps = "L".join(f"{number(x)},{number(y)}" for x, y in points)
    children = (tag("title", title),) if title else ()
    return tag("path", *children, d=f"M{steps}{'Z' if closed else ''}", class_=class_)


def marker(series: int, x: float, y: float, *, radius: float = 4.5, class_: str = "mark", title: str = "") -> Markup:
    """The mark of a series: its colour repeats after 8 and its shape after 7, so that 56 can be told apart."""
    return shape(_SHAPES[series % len(_SHAPES)], x, y, radius=radius, class_=f"{class_} {colour(series)}", title=title)


def shape(
    corners: Sequence[tuple[float, float]], x: float, y: float, *, radius: float, class_: str, title: str = ""
) -> Markup:
    """A polygon of unit corners around a point; a circle where there are none."""
    if not corners:
        return tag("circle", *((tag("title", title),) if title else ()), cx=x, cy=y, r=radius, class_=class_)
    placed = [(x + radius * dx, y + radius * dy) for dx, dy in corners]
    return path(placed, class_=class_, closed=True, title=title)


def colour(series: int) -> str:
    """The class that gives a series its colour."""
    return f"s{series % COLOURS}"


def text_width(content: str, size_px: float = FONT_PX) -> float:
    """About how wide a line of text is; rather too much, since the reader's font is not known."""
    return size_px * sum(map(_advance, content))


def _advance(character: str) -> float:
    if character in _NARROW:
        return 0.44
    if character in _WIDE:
        return 1.02
    if ord(character) < 0x80:
        return 0.79 if character.isupper() else 0.65
    if unicodedata.combining(character):
        return 0.0
    # Other scripts, and characters without a glyph, which browsers show as a box with their code point.
    return 0.75 if character.isalpha() and unicodedata.east_asian_width(character) not in "WF" else 1.25


def clip(content: str, width_px: float, size_px: float = FONT_PX) -> str:
    """The text on one line, cut with an ellipsis where it is wider than that."""
    content = " ".join(content[:400].split())
    if text_width(content, size_px) <= width_px:
        return content
    while content and text_width(content + "…", size_px) > width_px:
        content = content[:-1].rstrip()
    return content + "…"


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from low to high on pixels from start to end; a value beyond them lies at the nearer end."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        if self.log:
            low, high, at = (math.log10(max(each, self.low)) for each in (self.low, self.high, value))
        else:
            low, high, at = self.low, self.high, value
        share = (at - low) / (high - low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers within the scale, lowest first: one at least, and seldom more than ``most``."""
        return (_log_ticks(self.low, self.high, most) if self.log else []) or _ticks(self.low, self.high, most)


def linear(
    values: Iterable[float | None], start: float, end: float, *, within: tuple[float, float] | None = None
) -> Scale:
    """A scale with a little air around the values, or from 0 to 1 where there are none.

    It keeps ``within`` its bounds if all the values do.
    """
    known = finite(values)
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    air = 0.06 * (high - low) or (0.05 if within else abs(low) * 0.1 or 0.5)
    if within is not None and within[0] <= low and high <= within[1]:
        return Scale(max(low - air, within[0]), min(high + air, within[1]), start, end)
    return Scale(low - air, high + air, start, end)


def logarithmic(values: Iterable[float | None], start: float, end: float) -> Scale:
    """The same for values above zero; the others are disregarded."""
    known = [value for value in finite(values) if value > 1 / LARGEST]
    low, high = (min(known), max(known)) if known else (1.0, 10.0)
    air = max((high / low) ** 0.06, 1.08)
    return Scale(low / air, high * air, start, end, log=True)


def _ticks(low: float, high: float, most: int) -> list[float]:
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    found = [count * step for count in range(first, math.floor(high / step + 1e-9) + 1)]
    return found or [(low + high) / 2]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    """Of 1, 2 and 5 times the powers of ten; none where fewer than three of them lie on the scale."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [value for power in powers for value in (10.0**power, 2 * 10.0**power, 5 * 10.0**power)]
    fine = [value for value in fine if low <= value <= high]
    if len(fine) <= most + 2:
        return fine if len(fine) > 2 else []
    coarse = [10.0**power for power in powers if low <= 10.0**power <= high]
    return coarse[:: math.ceil(len(coarse) / most)]


def tick_labels(ticks: Sequence[float], *, bare: bool = False, signed: bool = False) -> list[str]:
    """All with the decimals that tell neighbours apart. ``bare`` leaves the zero before the point out, as in .85."""
    steps = [high - low for low, high in pairwise(ticks)] or [abs(ticks[0]) or 1.0]
    if max(steps) > 1.01 * min(steps):  # a log scale: every tick is short by itself
        return [f"{tick:,.0f}" if tick >= 1 else f"{tick:.15f}".rstrip("0") for tick in ticks]
    decimals = min(max(0, -math.floor(math.log10(steps[0]) + 1e-9)), 6)
    labels = []
    for tick in ticks:
        label = f"{abs(tick):,.{decimals}f}"
        zero = not float(label.replace(",", ""))
        label = "0" if zero else label.removeprefix("0") if bare else label
        labels.append(("" if zero else "−" if tick < 0 else "+" if signed else "") + label)
    return labels


def whole_labels(ticks: Sequence[float]) -> list[str]:
    """Of a scale of counts: what lies between two of them has no label."""
    return [f"{round(tick):,}" if abs(tick - round(tick)) < 1e-9 else "" for tick in ticks]


@dataclass(frozen=True, slots=True)
class Frame:
    """The edges of the space between the axes."""

    left: float
    top: float
    right: float
    bottom: float


def x_axis(frame: Frame, scale: Scale, labels: Callable[[Sequence[float]], list[str]], title: str) -> Markup:
    """Grid lines, tick labels that do not touch, and the title below them at the right."""
    ticks = scale.ticks()
    parts, free = [], -math.inf
    for tick, label in zip(ticks, labels(ticks), strict=True):
        if not label:
            continue
        x, half = scale(tick), text_width(label, 11) / 2
        parts.append(line(x, frame.top, x, frame.bottom, class_="grid"))
        if x - half > free:
            parts.append(text(x, frame.bottom + 16, label, anchor="middle", class_="tick"))
            free = x + half + 6
    parts.append(line(frame.left, frame.bottom, frame.right, frame.bottom, class_="axis"))
    parts.append(text(frame.right, frame.bottom + 33, title, anchor="end", class_="axis-title"))
    return Markup("").join(parts)


def y_axis(frame: Frame, scale: Scale, labels: Callable[[Sequence[float]], list[str]], title: str) -> Markup:
    """Grid lines, tick labels at the left, and the title above them: upright text is read faster."""
    ticks = scale.ticks(5)
    parts = []
    for tick, label in zip(ticks, labels(ticks), strict=True):
        y = scale(tick)
        parts.append(line(frame.left, y, frame.right, y, class_="grid"))
        parts.append(text(frame.left - 8, y + 4, label, anchor="end", class_="tick"))
    parts.append(text(0, frame.top - 12, title, class_="axis-title"))
    return Markup("").join(parts)


def legend(entries: Sequence[tuple[int, str]], *, x: float, y: float, width: float) -> tuple[Markup, float]:
    """Marks with the names of their series, in as many lines as it takes; and the height of these."""
    return key_of([(marker(series, 0, 0), name) for series, name in entries], x=x, y=y, width=width)


def key_of(entries: Sequence[tuple[str, str]], *, x: float, y: float, width: float) -> tuple[Markup, float]:
    """The same for any marks that are drawn around the origin."""
    parts, at, top, indent = [], x, y, 18.0
    for mark, name in entries:
        shown = clip(name, width - indent)
        needed = indent + text_width(shown)
        if at > x and at + needed > x + width:
            at, top = x, top + 20
        parts.append(tag("g", mark, transform=f"translate({number(at + 6)} {number(top + 9)})"))
        parts.append(text(at + indent, top + 13, shown))
        at += needed + 14
    return Markup("").join(parts), (top - y + 20 if entries else 0.0)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle that something fills."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def beside(
    labels: Sequence[tuple[float, float, str]], frame: Frame, taken: Sequence[Box] = (), *, gap: float = 9
) -> Markup:
    """Write each label next to its point where it touches no point, no other label and no edge; else leave it out."""
    filled = [Box(x - 6, y - 6, x + 6, y + 6) for x, y, _ in labels] + list(taken)
    parts = []
    for x, y, content in labels:
        width = text_width(content)
        middle = Box(x - width / 2, y - 7, x + width / 2, y + 7)
        right = replace(middle, left=x + gap, right=x + gap + width)
        left = replace(middle, left=x - gap - width, right=x - gap)
        sides = (
            right,
            left,
            *(
                replace(box, top=box.top + by, bottom=box.bottom + by)
                for by in (-15, 15)
                for box in (right, left, middle)
            ),
        )
        for box in sides:
            inside = frame.left <= box.left and box.right <= frame.right
            inside = inside and frame.top <= box.top and box.bottom <= frame.bottom
            if inside and not any(box.meets(other) for other in filled):
                filled.append(box)
                parts.append(text(box.left, box.bottom - 3, content, class_="label halo"))
                break
    return Markup("").join(parts)
