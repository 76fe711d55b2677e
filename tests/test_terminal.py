"""A run on a real terminal, as the person before it sees it: a screen of 80 columns, resized, without colors."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path
from typing import Any

import pyte
import pytest
from support import wait_until

pytestmark = pytest.mark.slow

TRAINCI = str(Path(sys.executable).with_name("trainci"))
TALKS = """
NUM_GPUS = {gpus}
if __name__ == "__main__":
    import pathlib, time
    for step in range(2000):
        print(f"step {{step}} loss 0.5 " + "x" * 100)
    print("waits", flush=True)
    while not pathlib.Path("go").exists():
        time.sleep(0.02)
    assert {passes}, "the loss is nan"
"""


class Terminal:
    """A terminal with a run in it, and what it shows."""

    def __init__(self, root: Path, *words: str, columns: int = 80, lines: int = 24, **environment: str) -> None:
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self._changed = threading.Lock()
        self.raw = b""
        self._master, terminal = pty.openpty()
        self.resize(columns, lines)
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "TRAINCI_", "COLUMNS", "LINES"))
        }
        self.process = subprocess.Popen(
            [TRAINCI, "run", *words],
            cwd=root,
            env={**kept, "TRAINCI_LOCK_DIR": str(root / "locks"), "TERM": "xterm", **environment},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def resize(self, columns: int, lines: int = 24) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        with self._changed:
            self.screen.resize(lines, columns)

    def _read(self) -> None:
        try:
            while data := os.read(self._master, 65536):
                with self._changed:
                    self.raw += data
                    self._stream.feed(data)
        except OSError:  # EIO: nobody holds the terminal any more
            return

    def shown(self) -> list[str]:
        with self._changed:
            return [line.rstrip() for line in self.screen.display]

    def wait_for(self, pattern: str) -> list[str]:
        wait_until(lambda: any(re.search(pattern, line) for line in self.shown()), pattern)
        return self.shown()

    def end(self) -> int:
        code = self.process.wait(120)
        self._thread.join()
        os.close(self._master)
        return code


@pytest.fixture
def root(tmp_path: Path) -> Any:
    (tmp_path / "tests").mkdir()
    (tmp_path / "trainci.toml").write_text("[project]\n")
    for name, gpus, passes in (("a", 2, True), ("b", 2, False), ("c", 4, True)):
        (tmp_path / f"tests/test_{name}.py").write_text(TALKS.format(gpus=gpus, passes=passes))
    yield tmp_path
    (tmp_path / "go").touch()


def test_one_glance_says_what_runs_its_last_lines_and_what_waits_why(root: Path) -> None:
    terminal = Terminal(root, "tests/*.py", "--devices", "cpu:4")
    terminal.wait_for(r"^   waits$")
    shown = terminal.wait_for(r"⏸ tests/test_c.py: needs 4 devices, 0 free")
    assert any(re.match(r"▶ tests/test_a.py 2 devices \d", line) for line in shown), shown
    assert any(line.startswith("   step 1999 loss") and line.endswith("…") for line in shown), "cut, not wrapped"
    assert any(line.startswith("4 of 4 virtual devices in use · 0 passed") for line in shown)
    assert not any("step 1000 " in line for line in shown), "only the end of what was printed"
    (root / "go").touch()
    assert terminal.end() == 1
    last = [line for line in terminal.shown() if line]
    assert last[-2] == "failed          tests/test_b.py: AssertionError: the loss is nan"
    assert last[-1].startswith("2 passed, 1 failed in ")
    assert not any("▶" in line or "⏸" in line for line in last), "the table is gone"
    assert b"step 1000 " not in terminal.raw
    (log,) = root.glob(".trainci/runs/*/*test_b*.log")
    assert log.read_text().count("step ") == 2000, "the log has all of it"


def test_a_terminal_that_is_made_narrow_keeps_one_line_a_test(root: Path) -> None:
    terminal = Terminal(root, "tests/*.py", "--devices", "cpu:4")
    terminal.wait_for(r"^   waits$")
    terminal.resize(40)
    shown = terminal.wait_for(r"^4 of 4 virtual devices in use.*…$")
    assert all(len(line) <= 40 for line in shown)
    assert sum(line.startswith("▶") for line in shown) <= 4
    (root / "go").touch()
    assert terminal.end() == 1


@pytest.mark.parametrize(("environment", "colored"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_outcomes_are_colored_unless_somebody_wants_no_color(root: Path, environment: Any, colored: bool) -> None:
    (root / "go").touch()
    terminal = Terminal(root, "tests/test_a.py", "--devices", "cpu:4", **environment)
    assert terminal.end() == 0
    assert (b"\x1b[32m" in terminal.raw) == colored
    assert b"passed tests/test_a.py" in terminal.raw


def test_verbose_lets_all_output_scroll_by(root: Path) -> None:
    (root / "go").touch()
    terminal = Terminal(root, "tests/test_a.py", "--devices", "cpu:4", "--verbose")
    assert terminal.end() == 0
    assert terminal.raw.count(b"step ") >= 2000


def test_into_cat_go_plain_lines_with_all_output(root: Path) -> None:
    (root / "go").touch()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "TRAINCI_"))}
    done = subprocess.run(
        f"{TRAINCI} run 'tests/*.py' --devices cpu:4 | cat",
        shell=True,
        cwd=root,
        env={**kept, "TRAINCI_LOCK_DIR": str(root / "locks")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "\x1b" not in done.stdout
    assert done.stdout.count("tests/test_b.py | step ") == 2000
    assert done.stdout.splitlines()[-1].startswith("2 passed, 1 failed in ")
