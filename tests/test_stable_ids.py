"""An id names a test for good: what says the same in other words makes no other id, and no other reason."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

_KEYS = {
    "env": 'env = { B = "2", A = "1" }',
    "args": 'args = ["--x", "a b"]',
    "timeout_minutes": "timeout_minutes = 5",
    "num_gpus": "num_gpus = 2",
    "runner": 'runner = "python"',
}


@settings(max_examples=25)
@given(
    keys=st.permutations(["path", *_KEYS]),
    flipped=st.booleans(),
    left_out=st.sets(st.sampled_from(["num_gpus", "runner", "timeout_minutes"])),
    twice=st.booleans(),
)
def test_neither_the_order_of_keys_nor_what_the_file_says_anyhow_changes_an_id_or_a_reason(
    new_repository: Callable[[], Any], keys: list[str], flipped: bool, left_out: set[str], twice: bool
) -> None:
    repository = new_repository()
    repository.write("tests/a.py", 'NUM_GPUS = 2\nif __name__ == "__main__":\n    print()\n')
    said = {"path": 'path = "tests/a.py"', **_KEYS}
    if flipped:
        said["env"] = 'env = { A = "1", B = "2" }'
    entry = f"{{ {', '.join(said[key] for key in keys if key not in left_out)} }}"
    plain = f"{{ {', '.join(said[key] for key in ('path', 'args', 'env'))} }}"
    other = f"\n[suites.b]\ntests = [{plain}]" if twice else ""
    repository.write("trainci.toml", f"[suites.a]\ntests = [{entry}]{other}\n")
    out = repository.trainci("run", *(["a", "b"] if twice else ["a"]), "--dry-run", "--devices", "cpu:2").out
    reason = "suite a; suite b" if twice else "suite a"
    assert out.startswith(f"tests/a.py[A=1 B=2 --x 'a b']\n    because: {reason}\n    devices: 2, "), out


def test_a_number_of_devices_is_part_of_the_id_only_where_it_tells_two_tests_apart(repository: Any) -> None:
    repository.write("tests/a.py", 'NUM_GPUS = 2\nif __name__ == "__main__":\n    print()\n')

    def ids(*entries: str) -> list[str]:
        repository.write("trainci.toml", f"[suites.a]\ntests = [{', '.join(entries)}]\n")
        out = repository.trainci("run", "a", "--dry-run", "--devices", "cpu:4").out
        return [line for line in out.splitlines() if line.startswith("tests/")]

    four = '{ path = "tests/a.py", num_gpus = 4 }'
    assert ids(four) == ["tests/a.py"]
    assert ids('"tests/a.py"', four) == ["tests/a.py", "tests/a.py[num_gpus=4]"]
    assert ids('{ path = "tests/a.py", num_gpus = 2 }', four) == ["tests/a.py", "tests/a.py[num_gpus=4]"]


@pytest.mark.slow
def test_the_hash_seed_changes_neither_ids_nor_reasons(repository: Any) -> None:
    for name in "abcdef":
        repository.write(f"tests/test_{name}.py", f"import h_{name}, h\ndef test_{name}(): pass\n")
        repository.write(f"tests/h_{name}.py", "import h\n")
    repository.write("tests/h.py", "")
    repository.write("trainci.toml", '[suites.a]\ntests = ["tests/test_*.py"]\n')
    repository.init()
    for name in "abcdef":
        repository.write(f"tests/h_{name}.py", "import h\nx = 1\n")
    repository.write("tests/h.py", "x = 1\n")
    words = [sys.executable, "-m", "trainci", "run", "--changed", "--dry-run", "--devices", "cpu:1"]
    said = {
        subprocess.run(
            words,
            cwd=repository.root,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        for seed in range(4)
    }
    assert len(said) == 1 and said.pop().count("because: ") == 6
