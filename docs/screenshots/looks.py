"""The looks in the README, recorded from real commands: ``make looks`` writes them anew."""

from __future__ import annotations

import getpass
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sample
from sample import TRAINCI

ROOT = Path(__file__).parents[2]
DEMO = ("run", "run-ci-short", "--devices", "cpu:8")
_LONG = 300.0


def main() -> None:
    """Write the looks into the README."""
    readme = (ROOT / "README.md").read_text()
    with tempfile.TemporaryDirectory() as folder:
        root = sample.made(Path(folder) / "repo")
        looks = {
            "red": red(root),
            "gpus": gpus(root),
            # Its own: in that of the others a device is drained.
            "demo": demo(ROOT / "examples/posttrain", Path(folder) / "locks of the demo"),
        }
    for name, look in looks.items():
        readme = replaced(readme, name, look)
    (ROOT / "README.md").write_text(readme)


def replaced(readme: str, name: str, look: str) -> str:
    """``readme`` with this look in the block that follows its name."""
    found = re.compile(rf"(<!-- look: {name}\b.*?-->\n```text\n).*?(\n```\n)", re.DOTALL)
    changed, count = found.subn(lambda match: match[1] + look + match[2], readme)
    assert count == 1, f"README.md has {count} blocks called {name}"
    return changed


def red(root: Path) -> str:
    """The end of a run with one red test of each kind: the first of them whole, then the last lines.

    One at a time, so that they end in the same order whenever it is recorded.
    """
    said = plain(sample.said(root, "run", "short", "--devices", "cpu:8", "--jobs", "1"))
    first, *_, last = said[said.index("failed: ") :].strip().split("\n\n")
    return f"{first}\n\n…\n\n{last}"


def gpus(root: Path) -> str:
    """The host while tests hold its devices, one of which is handed out no more, and another test waits."""
    holders = ("run", "--id", "tests/test_grpo_short.py", "--id", "tests/test_ckpt.py", "--devices", "cpu:4")
    with going_on(root, *holders, STEP_SECONDS=str(_LONG)):
        _wait(lambda: sum(device["state"] == "held" for device in _status(root)["devices"]) == 4)
        sample.said(root, "gpus", "--drain", "3", "--reason", "a new driver")
        with going_on(root, "run", "--id", "tests/test_reward.py", "--devices", "cpu:4"):
            _wait(lambda: _status(root)["waiting"])
            said = plain(sample.said(root, "gpus", "--virtual"))
    return f"$ trainci gpus --virtual\n{said.strip()}"


def demo(examples: Path, locks: Path) -> str:
    """A run of `make demo`, shortened: its beginning, a little of what tests print, and its end."""
    lines = plain(sample.said(examples, *DEMO, TRAINCI_LOCK_DIR=str(locks))).splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("["))
    ended = [line for line in lines if re.match(r"\[[\d:]+\] \[\d+/\d+\] ", line)]
    told = [line for line in lines[begin:] if line.startswith("[") and line not in ended]
    printed = [found[0] for line in lines if (found := re.match(r"\S+ \| .*?\bstep \d+ .*? grad_norm \S+", line))]
    assert printed, "no test printed a step"
    cut = [f"{line} …" for line in (printed[0], printed[-1])]
    title = "Running trainci run run-ci-short in examples/posttrain on virtual devices (no GPU is needed)."
    return "\n".join(["$ make demo", title, *told, "…", *cut, "…", *ended, "", lines[-1]])


def plain(text: str) -> str:
    """``text`` without what is this machine's own: its interpreter and its user."""
    text, user = text.replace(sys.executable, "python"), getpass.getuser()
    in_a_column = re.sub(rf"\b{re.escape(user)}(?=  )", "you".ljust(len(user)), text)
    return re.sub(rf"\b{re.escape(user)}\b", "you", in_a_column)


def shape(look: str) -> list[str]:
    """The lines of ``look`` without what is another at each run: numbers, ids, which of the tests, how wide."""
    for found, put in (
        (r"\d{8}-\d{6}-[0-9a-f]{6}|\b[0-9a-f]{12}\b", "ID"),
        (r"tests/[\w./-]+?\.py", "TEST"),
        # A time of another day has that before it, as what ends after midnight.
        (r"\d{4}-\d\d-\d\d (?=\d\d:\d\d)", ""),
        (r"\d+ min \d+ s|[\d.]+ s\b", "TIME"),
        (r"-?\d[\d.e:+-]*", "N"),
        (r"[ …]+", " "),
    ):
        look = re.sub(found, put, look)
    return [line.strip() for line in look.strip().splitlines()]


@contextmanager
def going_on(root: Path, *words: str, **others: str) -> Iterator[None]:
    """While a command runs, which is interrupted in the end."""
    process = subprocess.Popen(
        [TRAINCI, *words],
        cwd=root,
        env=sample.environment(root, **others),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _status(root: Path) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = json.loads(sample.said(root, "gpus", "--virtual", "--json"))
    return found


def _wait(is_so: Callable[[], object]) -> None:
    until = time.monotonic() + _LONG
    while not is_so():
        assert time.monotonic() < until, "it does not come"
        time.sleep(0.2)


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
