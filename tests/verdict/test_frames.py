"""The deepest place in the repository that a failure passed through."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trainci.log_files import diagnosed, packaged_rules
from trainci.model.diagnosis import Facts, Frame

HELPER = "import json\n\ndef load(text):\n    return json.loads(text)\n"
TEST = "from helper import load\n\ndef test_load():\n    load('nonsense')\n"


def frame_of(root: Path, log: bytes) -> Frame | None:
    (root / "log").write_bytes(log)
    return diagnosed(root / "log", packaged_rules(), Facts(exit_code=1), root).frame


def run(root: Path, *words: str) -> bytes:
    return subprocess.run([sys.executable, *words], cwd=root, capture_output=True).stdout


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text(HELPER)
    (tmp_path / "test_load.py").write_text(TEST)
    return tmp_path


def test_it_is_a_helpers_line_and_not_that_of_pythons_library_below_it(root: Path):
    program = (
        "import sys; sys.stderr = sys.stdout; sys.path.insert(0, '.'); import test_load; test_load.test_load()"
    )
    assert frame_of(root, run(root, "-c", program)) == Frame("helper.py", 4)


every_style = pytest.mark.parametrize(
    "style", ["auto", *(pytest.param(it, marks=pytest.mark.slow) for it in ("long", "short"))]
)


@every_style
def test_it_is_found_in_pytests_styles(root: Path, style: str):
    (root / "conftest.py").write_text("import sys\nsys.path.insert(0, '.')\n")
    log = run(root, "-m", "pytest", f"--tb={style}", "-p", "no:cacheprovider", "test_load.py")
    assert frame_of(root, log) == Frame("helper.py", 4), log.decode()


@every_style
def test_where_the_repositorys_own_line_raises_pytests_last_place_counts(root: Path, style: str):
    (root / "conftest.py").write_text("import sys\nsys.path.insert(0, '.')\n")
    (root / "helper.py").write_text("def load(text):\n    raise ValueError(text)\n")
    log = run(root, "-m", "pytest", f"--tb={style}", "-p", "no:cacheprovider", "test_load.py")
    assert frame_of(root, log) == Frame("helper.py", 2), log.decode()


@pytest.mark.parametrize(
    "below", ["ValueError: no\n", '  File "{root}/b.py", line 2, in g\n    g()\nValueError: no\n']
)
def test_of_a_place_that_was_cut_off_what_stands_below_is_read(root: Path, below: str):
    log = f'Traceback (most recent call last):\n  File "{root}/a.\n{below.format(root=root)}'
    (root / "log").write_text(log)
    found = diagnosed(root / "log", packaged_rules(), Facts(exit_code=1), root)
    assert (found.evidence, found.frame) == ("ValueError: no", Frame("b.py", 2) if "b.py" in below else None)


def test_a_place_outside_of_the_repository_is_none(root: Path):
    log = b'Traceback (most recent call last):\n  File "/elsewhere/x.py", line 3, in f\n    f()\nKeyError: 1\n'
    assert frame_of(root, log) is None
    assert frame_of(root, log.replace(b"/elsewhere", str(root).encode())) == Frame("x.py", 3)


def test_what_the_repository_installed_within_itself_is_no_place_of_its_own(root: Path):
    library = f"{root}/.venv/lib/python3.11/site-packages/torch/nn.py"
    log = (
        f'Traceback (most recent call last):\n  File "{root}/train.py", line 7, in f\n    f()\n'
        f'  File "{library}", line 99, in g\n    g()\nKeyError: 1\n'
    )
    assert frame_of(root, log.encode()) == Frame("train.py", 7)


def test_where_a_rank_fails_after_another_the_place_is_of_the_exception_that_decided(root: Path):
    log = (
        f'[rank1]: Traceback (most recent call last):\n[rank1]:   File "{root}/a.py", line 1, in f\n'
        f"[rank1]:     f()\n[rank1]: ValueError: bad\n"
        f'[rank0]: Traceback (most recent call last):\n[rank0]:   File "{root}/b.py", line 2, in f\n'
        "[rank0]:     f()\n[rank0]: torch.distributed.DistBackendError: NCCL error: remote process exited\n"
    )
    assert frame_of(root, log.encode()) == Frame("a.py", 1)
