"""`trainci run`: what its selectors may be, from wherever it is called."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def project(repository: Any) -> Any:
    repository.write("trainci.toml", "[project]\n")
    repository.write("tests/test_a.py", "NUM_GPUS = 0\nif __name__ == '__main__':\n    print()\n")
    return repository


@pytest.mark.parametrize("directory", [".", "tests"])
def test_a_file_may_be_named_by_its_absolute_path(project, directory):
    said = project.trainci("run", str(project.root / "tests/test_a.py"), "--dry-run", directory=directory)
    assert (said.code, said.out.splitlines()[0]) == (0, "tests/test_a.py"), said


@pytest.mark.parametrize("directory", [".", "tests"])
@pytest.mark.parametrize("selector", ["a" * 5000, "", "a\0b", "/", "\udcff", "../../.."])
def test_a_selector_that_no_file_could_have_is_a_sentence(project, directory, selector):
    said = project.trainci("run", selector, "--dry-run", directory=directory)
    assert (said.code, said.out) == (2, "")
    assert " is no label, suite, test file, test id or glob of a test" in said.err
