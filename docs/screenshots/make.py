"""Makes the pictures beside it from a run with one red test of each kind: ``make screenshots``.

The repository, its tests and the run are real; the terminal is one of 100 columns.
"""

from __future__ import annotations

import base64
import io
import os
import pty
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import sample
from looks import going_on, plain
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.text import Text
from sample import TRAINCI

HERE = Path(__file__).parent
WIDTH = 100
_RUNS_BEFORE = 12


def main() -> None:
    """Write the pictures."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        root = sample.made(Path(folder) / "repo")
        shown = _run(root)
        subprocess.run([TRAINCI, "report", "-o", "report.html"], cwd=root, check=True, stdout=subprocess.DEVNULL)
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        _picture(chromium, _terminal(Path(folder), shown).as_uri(), "terminal", 900)
        _picture(chromium, (root / "report.html").as_uri(), "report", 1100)
        _picture(chromium, (root / "report.html").as_uri(), "report-phone-dark", 390, dark=True)
        _served(chromium, root)
        chromium.close()


def _served(chromium: Browser, root: Path) -> None:
    """What goes on, a test with its metrics, and suites by commits, after some runs."""
    for number in range(_RUNS_BEFORE):
        sample.commit(root)
        sample.said(root, "run", "--id", "tests/test_grpo_short.py", "--devices", "cpu:8", STEP_SECONDS="0.02")
        if number % 3 == 0:
            sample.said(root, "run", "short", "--devices", "cpu:8", STEP_SECONDS="0.02")
    going = ("run", "short", "--devices", "cpu:8")
    environment = sample.environment(root)
    words = [TRAINCI, "serve", "--port", "0"]
    with subprocess.Popen(words, cwd=root, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        _picture(chromium, f"{address}test?id=tests/test_grpo_short.py", "serve-test", 900, most=900)
        _picture(chromium, f"{address}grid", "serve-suites", 900)
        with going_on(root, *going, STEP_SECONDS="60"):
            _picture(chromium, address, "serve-now", 900, wait_for="h2:has-text('5 of 7')")
        server.terminate()


def _run(root: Path) -> str:
    """What was left on the terminal."""
    master, terminal = pty.openpty()
    environment = sample.environment(root, TERM="xterm", COLUMNS=str(WIDTH))
    command = [TRAINCI, "run", "short", "--devices", "cpu:8"]
    process = subprocess.Popen(command, cwd=root, env=environment, stdout=terminal, stderr=terminal, stdin=terminal)
    os.close(terminal)
    data = b""
    try:
        while piece := os.read(master, 65536):
            data += piece
    except OSError:  # EIO: nobody holds the terminal any more
        pass
    process.wait()
    # What was painted over again and again goes; the line of an ended test begins with its place in the run.
    text = plain(data.decode().replace("\r", "").replace(str(root), "/home/you/repo"))
    ended = [found[0] for found in re.finditer(r"(?:\x1b\[\d+m)?\[\d/7\] .*", text)]
    end = text[re.search(r"(?:\x1b\[\d+m)?failed: ", text).start() :]
    return "\n".join([f"$ trainci {' '.join(command[1:])}", *ended, "", end])


def _terminal(folder: Path, text: str) -> Path:
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(text), no_wrap=True, overflow="ellipsis")
    file = folder / "terminal.svg"
    console.save_svg(str(file), title="trainci run short")
    page = folder / "terminal.html"
    page.write_text(f"<body style='margin:0'>{file.read_text()}</body>")
    return page


def _picture(
    chromium: Browser,
    address: str,
    name: str,
    width: int,
    dark: bool = False,
    wait_for: str = "body",
    most: int = 1800,
) -> None:
    page = chromium.new_page(viewport={"width": width, "height": 200}, color_scheme="dark" if dark else "light")
    page.goto(address)
    page.wait_for_selector(wait_for, timeout=60_000)
    height = min(most, page.evaluate("document.documentElement.scrollHeight"))
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    wanted = {"format": "webp", "quality": 80, "captureBeyondViewport": True, "clip": clip}
    shot = page.context.new_cdp_session(page).send("Page.captureScreenshot", wanted)
    (HERE / f"{name}.webp").write_bytes(base64.b64decode(shot["data"]))
    page.close()


if __name__ == "__main__":
    main()
