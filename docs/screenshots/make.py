"""Makes the pictures beside it from a run with one red test of each kind: ``make screenshots``.

The repository, its tests and the run are real; the terminal is one of 100 columns.
"""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
TRAINCI = str(Path(sys.executable).with_name("trainci"))
WIDTH = 100
LOSS = """
def policy_loss(step):
    loss = float("nan")
    if loss != loss:
        raise ValueError(f"the loss is {loss} at step {step}")
"""
TESTS = {
    "tests/test_grpo_short.py": "for step in range(3): print('step', step, 'loss', 0.7); time.sleep(0.4)",
    "tests/test_ckpt.py": "for step in range(3): print('step', step, 'loss', 0.6); time.sleep(0.7)",
    "tests/test_policy_loss.py": "print('step 1 loss 0.71'); from lib.loss import policy_loss; policy_loss(2)",
    "tests/test_reward.py": "got, wanted = 0.31, 0.35; assert got == wanted, f'reward {got}, wanted {wanted}'",
    "tests/test_slow.py": "print('waits for a server', flush=True); time.sleep(60)",
    "tests/test_host.py": "raise RuntimeError('CUDA error: uncorrectable ECC error encountered')",
    "tests/test_flaky.py": "p = pathlib.Path('x'); first = not p.exists(); p.touch(); assert not first, 'a race'",
}
CONFIG = """
[suites.short]
description = "one red test of each kind"
tests = [
  "tests/test_grpo_short.py", "tests/test_ckpt.py", "tests/test_policy_loss.py", "tests/test_reward.py",
  { path = "tests/test_slow.py", timeout_minutes = 0.03 }, "tests/test_host.py",
  { path = "tests/test_flaky.py", retries = 1 },
]
"""


def main() -> None:
    """Write the pictures."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        root = _repository(Path(folder) / "repo")
        shown = _run(root)
        subprocess.run([TRAINCI, "report", "-o", "report.html"], cwd=root, check=True, stdout=subprocess.DEVNULL)
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        _picture(chromium, _terminal(Path(folder), shown), "terminal.png", 900)
        _picture(chromium, root / "report.html", "report.png", 1100)
        _picture(chromium, root / "report.html", "report-phone-dark.png", 390, dark=True)
        chromium.close()


def _repository(root: Path) -> Path:
    (root / "tests").mkdir(parents=True)
    (root / "lib").mkdir()
    (root / "lib/loss.py").write_text(LOSS)
    (root / "trainci.toml").write_text(CONFIG)
    for name, body in TESTS.items():
        head = "import pathlib, sys, time\nNUM_GPUS = 2\nsys.path.insert(0, '.')\n\ndef execute():\n"
        lines = textwrap.indent(body.replace("; ", "\n"), "    ") if "for " not in body else f"    {body}"
        (root / name).write_text(f"{head}{lines}\n\nif __name__ == '__main__':\n    execute()\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "tests"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, *words], cwd=root, check=True)
    return root


def _run(root: Path) -> str:
    """What was left on the terminal."""
    master, terminal = pty.openpty()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "TRAINCI_"))}
    environment = {**kept, "TRAINCI_LOCK_DIR": str(root.parent / "locks"), "TERM": "xterm", "COLUMNS": str(WIDTH)}
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
    text = data.decode().replace("\r", "").replace(str(root), "/home/you/repo")
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


def _picture(chromium: Browser, file: Path, name: str, width: int, dark: bool = False) -> None:
    page = chromium.new_page(viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light")
    page.goto(file.as_uri())
    height = min(1800, page.evaluate("document.documentElement.scrollHeight"))
    page.screenshot(path=HERE / name, clip={"x": 0, "y": 0, "width": width, "height": height}, full_page=True)
    page.close()


if __name__ == "__main__":
    main()
