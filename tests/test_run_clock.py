"""The wall clock jumps in the middle of a run, and no duration, limit or verdict is another for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from support import unavailable

# https://github.com/wolfcw/libfaketime: Debian's package `faketime`.
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))

JUMPS = """
import pathlib, select, sys, time

def main():
    before = time.time()
    for jump in ("+2h", "-2h"):
        pathlib.Path(sys.argv[1]).write_text(jump)
        select.select([], [], [], 0.7)  # libfaketime knows no clock_nanosleep
        print("the clock says", round((time.time() - before) / 3600), "hours")

if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("retries", [0, 1])
def test_a_jump_of_the_clock_changes_no_duration_and_no_verdict(repository: Any, retries: int) -> None:
    if not LIBRARIES:
        unavailable("libfaketime is not installed (apt-get install faketime)")
    clock = repository.write("clock", "+0")
    entries = f'{{ path = "jumps.py", args = ["{clock}"], timeout_minutes = 1, retries = {retries} }}, "after.sh"'
    repository.write("trainci.toml", f"[suites.s]\nnum_gpus = 1\ntests = [{entries}]\n")
    repository.write("jumps.py", JUMPS)
    repository.write("after.sh", "sleep 0.3\necho done\n")
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "TRAINCI_LOCK_DIR": str(repository.root / "locks"),
        "LD_PRELOAD": str(LIBRARIES[-1]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    words = [sys.executable, "-m", "trainci", "run", "s", "--devices", "cpu:1", "--jobs", "1", "--junit", "j.xml"]
    said = subprocess.run(words, cwd=repository.root, env=environment, capture_output=True, text=True, timeout=120)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "the clock says 2 hours" in said.stdout and "the clock says -2 hours" in said.stdout, said.stdout
    assert re.search(r"passed +jumps\.py", said.stdout) and re.search(r"passed +after\.sh", said.stdout)
    for case in ElementTree.parse(repository.root / "j.xml").iter("testcase"):
        assert 0 <= float(case.get("time", "nan")) < 60, case.attrib
    assert re.search(r"2 passed in \d+\.\d s", said.stdout), said.stdout
