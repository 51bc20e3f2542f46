"""Render what a command printed on a terminal as an SVG picture.

script -qec ".venv/bin/freehold demo" /dev/null | python tools/terminal_svg.py "freehold demo" docs/demo.svg
"""

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 100


def main() -> None:
    title, target = sys.argv[1:]
    printed = sys.stdin.read().replace("\r\n", "\n")
    # A transient progress bar draws, then takes its lines back: what is left is what follows the last "erase line".
    lines = [re.split(r"\x1b\[2K|\r", line)[-1] for line in printed.split("\n")]
    still = re.sub(r"\x1b\[\?25[lh]|\x1b\[1A", "", "\n".join(lines)).strip("\n")
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(still))
    Path(target).write_text(console.export_svg(title=title), encoding="utf-8")


if __name__ == "__main__":
    main()
