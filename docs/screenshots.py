"""Draw docs/run.png and docs/report.png, the last screen of a run and its report, with Chromium:

script -qec "stty cols 94 rows 50; compete run competitions/mask.toml" run.log
python docs/screenshots.py run.log submissions/mask/run-001/report.html
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

FOLDER = Path(__file__).resolve().parent
COMMAND, TITLE_RULE, COLUMNS = "compete run competitions/mask.toml", "────", 94
SCREEN_WIDTH, REPORT_SIZE = 1180, (1280, 1500)


def last_screen(log: str) -> str:
    """Return a recording's last lines with their colours, from the rule with the run's title on."""
    lines = [line.rpartition("\x1b[2K")[2] for line in log.replace("\r\n", "\n").split("\n")]
    first = max(number for number, line in enumerate(lines) if TITLE_RULE in line and "run-" in line)
    return "\n".join(line for line in lines[first:] if not line.startswith("Script ")).rstrip()


def terminal(screen: str, title: str = COMMAND, columns: int = COLUMNS) -> str:
    """Return an SVG of a terminal. Without an empty line below, the last line's descenders would be cut off."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(f"{screen}\n "))
    return console.export_svg(title=title)


def screenshot(page: Path, image: Path, size: tuple[int, int]) -> None:
    """Let the browser draw a page's first (width, height) pixels into a PNG."""
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={size[0]},{size[1]}"]
    subprocess.run(["chromium", *options, f"--screenshot={image}", page.resolve().as_uri()], check=True)


def picture(drawing: str, image: Path) -> None:
    """Let the browser draw an SVG of a terminal into a PNG."""
    width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawing).groups())
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "screen.html")
        page.write_text(f'<body style="margin:0">{drawing}</body>', encoding="utf-8")
        screenshot(page, image, (SCREEN_WIDTH, round(height * SCREEN_WIDTH / width)))


def main(log: Path, report: Path) -> None:
    """Draw both screenshots."""
    picture(terminal(last_screen(log.read_text(encoding="utf-8"))), FOLDER / "run.png")
    screenshot(report, FOLDER / "report.png", REPORT_SIZE)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
