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
    # A progress bar draws and takes its lines back: what is left on the screen follows its last "erase line".
    still = re.sub(r"\x1b\[\?25[lh]", "", printed.rsplit("\x1b[2K", 1)[-1]).strip("\n")
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(still))
    Path(target).write_text(console.export_svg(title=title), encoding="utf-8")


if __name__ == "__main__":
    main()
