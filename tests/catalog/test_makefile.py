"""A goal of a Makefile whose failing tests are green is found, and a sound one is left alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.catalog.makefile import in_makefile

CERTAIN = {
    "ignored": "a:\n\t-python bad.py\n",
    "ignored in silence": "a:\n\t@-python bad.py\n",
    "ignored, with a space": "a:\n\t- python bad.py\n",
    "through what it needs": "a: b\n\techo done\nb:\n\t-python bad.py\n",
    "a pipe": "a:\n\tpython bad.py | tee log\n",
    "or true": "a:\n\tpython bad.py || true\n",
    "on one line": "a:\n\tpython bad.py; echo done\n",
    "on two lines": "a:\n\tpython bad.py; \\\n\techo done\n",
    "behind the target": "a: ; -python bad.py\n",
    "all ignored": ".IGNORE:\na:\n\tpython bad.py\n",
    "this one ignored": ".IGNORE: a\na:\n\tpython bad.py\n",
    "of two targets": "x a:\n\t-python bad.py\n",
}
SOUND = {
    "plain": "a:\n\tpython bad.py\n",
    "in silence": "a:\n\t@python bad.py\n",
    "another goal": "a:\n\tpython bad.py\nb:\n\t-python bad.py\n",
    "a cleaning up": "a:\n\t-rm -rf build\n\tpython bad.py\n",
    "several lines": "a:\n\techo begin\n\tpython bad.py\n\techo done\n",
    "variables": "X := 1\nY ?= -a\na: export Z = 1\na:\n\tpython bad.py $(X) $$HOME\n",
    "another ignored": ".IGNORE: b\na:\n\tpython bad.py\n",
}


def _make(tmp_path: Path, text: str) -> int:
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    (tmp_path / "Makefile").write_text(text)
    (tmp_path / "bad.py").write_text("assert False\n")
    return subprocess.run(["make", "a"], cwd=tmp_path, capture_output=True).returncode


@pytest.mark.parametrize("name", CERTAIN)
def test_a_goal_that_is_green_over_a_failure_is_found(name: str, tmp_path: Path) -> None:
    assert [one.certain for one in in_makefile(CERTAIN[name], ["a"]).lost] == [True]
    assert _make(tmp_path, CERTAIN[name]) == 0


@pytest.mark.parametrize("name", SOUND)
def test_a_goal_that_is_red_over_a_failure_is_left_alone(name: str, tmp_path: Path) -> None:
    assert in_makefile(SOUND[name], ["a"]).lost == ()
    assert _make(tmp_path, SOUND[name]) != 0


def test_without_a_goal_the_first_target_is_meant() -> None:
    assert in_makefile(".PHONY: b\na:\n\t-pytest\nb:\n\tpytest\n", []).lost != ()
    assert in_makefile(".PHONY: b\nb:\n\tpytest\na:\n\t-pytest\n", []).lost == ()


@given(st.text("ab:=;#\t\n\\-@ .$|", max_size=100))
def test_any_text_is_read(text: str) -> None:
    in_makefile(text, ["a"])


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ('["make", "a"]', "Makefile:2"),
        ('["make", "-C", "sub", "X=1", "a"]', "sub/Makefile:2"),
        ('["make", "-f", "sub/Makefile", "a"]', "sub/Makefile:2"),
    ],
)
def test_such_a_test_is_refused_with_its_place(repository: Any, words: str, place: str) -> None:
    repository.write("trainci.toml", f'[suites.s]\nnum_gpus = 0\ntests = [{{ name = "m", command = {words} }}]\n')
    repository.write("Makefile", CERTAIN["ignored"])
    repository.write("sub/Makefile", CERTAIN["ignored"])
    sentence = f"{place}: make ignores the failure of this line"
    assert f"trainci.toml:3: {sentence}" in repository.trainci("check").out
    locks = {"TRAINCI_LOCK_DIR": str(repository.root / "locks")}
    ran = repository.trainci("run", "s", "--devices", "cpu:1", environment=locks)
    assert ran.code == 2 and sentence in ran.out


def test_what_a_command_perhaps_loses_is_told_at_its_entry(repository: Any) -> None:
    words = '["bash", "-c", "python a.py; python b.py"]'
    repository.write("trainci.toml", f'[suites.s]\nnum_gpus = 0\ntests = [{{ name = "m", command = {words} }}]\n')
    assert "trainci.toml:3: perhaps the script goes on after this command fails" in repository.trainci("check").out
