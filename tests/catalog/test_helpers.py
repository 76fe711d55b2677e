"""What pytest makes of a folder is what check says of the files in it that no suite names."""

from __future__ import annotations

from typing import Any

TEST = (
    "import subprocess\nfrom .test_utils import f\ndef test_a(): g()\ndef g(): subprocess.run(['python', 'x.py'])\n"
)
MAIN = 'if __name__ == "__main__":\n    import pytest\n    test_a()\n    pytest.main([__file__])\n'


def test_in_a_folder_of_pytests_a_helper_is_no_test_and_a_main_block_is_nobodys(repository: Any) -> None:
    globs = '"tests/**/test_*.py", "other/test_*.py"'
    repository.write(
        "trainci.toml",
        f'[project]\ntests = [{globs}]\n[suites.s]\nnum_gpus = 0\ntests = ["tests", "other/test_c.py"]\n',
    )
    for name in ("tests/test_a.py", "other/test_b.py", "other/test_c.py"):
        repository.write(name, TEST + MAIN)
    for name in ("tests/test_utils.py", "tests/test_nothing.py"):
        repository.write(name, "def f(): pass\n")
    said = repository.trainci("check").out
    assert "tests/test_nothing.py:1: nothing would run" in said
    lost = "the exit code of `subprocess.run` goes nowhere"
    assert all(f"other/test_{name}.py:4: {lost}" in said for name in "bc"), said
    assert said.count("tests/test_a.py") == said.count(f"tests/test_a.py:4: perhaps {lost}") == 1, said
    assert "test_utils" not in said
    assert "-m pytest tests/test_a.py" in repository.trainci("run", "tests/test_a.py", "--dry-run").out
