"""Tests of every shape: each is known from its file, declares what it needs in its own way, and has its command."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from trainci.catalog.styles import STYLES, declarations
from trainci.errors import UsageError
from trainci.model.tests import Declarations, Entry

_TEST = "def test_it():\n    assert True\n"
_RUNS = '\nif __name__ == "__main__":\n    main()\n'


def _says(repository: Any, name: str, text: str, **entry: Any) -> Declarations:
    repository.write(name, textwrap.dedent(text))
    return declarations(repository.root, Entry(name, **entry))


@pytest.mark.parametrize(
    ("name", "text", "style"),
    [
        ("tests/a.py", _TEST, "pytest"),
        ("tests/a.py", _TEST + _RUNS, "python"),
        ("tests/a.py", "async def test_it(): pass", "pytest"),
        ("tests/a.py", "class TestIt:\n    def test_a(self): pass", "pytest"),
        ("tests/a.py", "class TestIt(Base):\n    pass", "pytest"),
        ("tests/a.py", "import unittest\nclass It(unittest.TestCase):\n    def test_a(self): pass", "pytest"),
        ("tests/a.py", "class It(MultiProcessTestCase):\n    def test_a(self): pass", "pytest"),
        ("tests/a.py", "from unittest import TestCase as Base\nclass It(Base):\n  def test_a(_): 0", "pytest"),
        ("tests/a.py", f"if HAS_CUDA:\n{textwrap.indent(_TEST, '    ')}", "pytest"),
        (
            "tests/a.py",
            f"try:\n    import x\nexcept ImportError:\n    x = 1\nelse:\n    {'def test_a(): pass'}",
            "pytest",
        ),
        ("tests/a.py", "from shared import TestEverything", "pytest"),
        ("tests/a.py", "if HAS_IT:\n    from other.tests.test_b import *", "pytest"),
        ("tests/a.py", "pytest.skip('later', allow_module_level=True)", "pytest"),
        ("tests/a.sh", "set -e\npython train.py", "shell"),
    ],
)
def test_the_style_is_known_from_the_file(repository: Any, name: str, text: str, style: str) -> None:
    says = _says(repository, name, text)
    assert (says.style, says.fault, says.refusal) == (style, "", "")


def test_a_folder_and_a_test_inside_a_file_are_pytests(repository: Any) -> None:
    repository.write("tests/utils/test_a.py", _TEST + _RUNS)
    assert declarations(repository.root, Entry("tests/utils")).style == "pytest"
    assert declarations(repository.root, Entry("tests/utils/test_a.py", node="::test_it")).style == "pytest"


def test_a_block_of_a_worker_makes_no_program_of_a_file_of_tests(repository: Any) -> None:
    worker = 'if __name__ == "__main__" and "--worker" in sys.argv:\n    work()\n'
    for before, style in (("def test_a(): assert 1\n", "pytest"), ("def work(): assert 1\n", "python")):
        repository.write("tests/test_w.py", f"import sys\n{before}{worker}")
        assert declarations(repository.root, Entry("tests/test_w.py")).style == style


def test_an_entry_says_the_style_where_the_file_does_not(repository: Any) -> None:
    repository.write("tests/a.py", _TEST + _RUNS)
    for runner in ("pytest", "torchrun"):
        assert declarations(repository.root, Entry("tests/a.py", runner=runner)).style == runner
    assert declarations(repository.root, Entry(module="a.b")).style == "module"
    assert declarations(repository.root, Entry(command=("make",), name="m")).style == "command"


@pytest.mark.parametrize(
    "text", ["", "x = 1\n", "def helper(): pass\n", "class Tests:\n    pass\n", "import a\na = 1"]
)
@pytest.mark.parametrize("runner", ["", "python"])
def test_a_file_in_which_nothing_would_run_is_refused(repository: Any, text: str, runner: str) -> None:
    says = _says(repository, "tests/a.py", text, runner=runner)
    assert says.refusal.startswith("tests/a.py:1: nothing would run: it holds no test, and no `if __name__ ==")


def test_a_command_that_can_only_succeed_is_refused(tmp_path: Path) -> None:
    idle = (
        "env true",
        "timeout 9 true",
        "uv run true",
        "env A=1",
        "bash",
        "bash -s",
        "sh -e",
        "python -",
        "python",
    )
    texts = (("bash", "-c", ""), ("sh", "-ec", "# pytest a"), ("bash", "-c", "exit 0"))
    for words in (*map(str.split, idle), *texts):
        assert declarations(tmp_path, Entry(command=tuple(words))).refusal.startswith("nothing would run: "), words
    for sound in (
        "bash a.sh",
        "python -m a",
        "python -c assert",
        "uv run pytest",
        "nvidia-smi",
        "bash -c nvidia-smi",
    ):
        assert not declarations(tmp_path, Entry(command=tuple(sound.split()))).refusal, sound


def test_a_script_whose_lines_end_as_on_windows_is_refused(repository: Any) -> None:
    refusal = _says(repository, "a.sh", "#!/bin/bash\nset -e\r\npython a.py\r\n").refusal
    assert refusal.startswith("a.sh:2: the line ends as on Windows") and refusal.endswith("sed -i 's/\\r$//' a.sh")


def test_a_program_without_a_main_block_runs_where_its_entry_says_so(repository: Any) -> None:
    assert _says(repository, "tests/a.py", "main()\n").refusal.startswith("tests/a.py:1: nothing would run")
    assert _says(repository, "tests/a.py", "main()\n", runner="python").refusal == ""
    assert _says(repository, "tests/a.py", "import a\nassert a.x == 1\n", runner="python").refusal == ""


def test_a_file_that_no_style_knows_is_refused_with_the_way_out(repository: Any) -> None:
    says = _says(repository, "tests/a.pl", "print 1")
    assert says.refusal == 'tests/a.pl:1: no test of a kind that is known. Say how it runs: command = ["…"].'


@pytest.mark.parametrize(
    ("block", "line"),
    [
        ("pass", 4),
        ("main", 5),
        ("pytest.main([__file__])", 5),
        ("unittest.main(exit=False)", 5),
    ],
)
def test_a_main_block_that_certainly_throws_its_result_away_is_refused(
    repository: Any, block: str, line: int
) -> None:
    says = _says(
        repository, "tests/a.py", f"import pytest, unittest\n{_TEST}if __name__ == '__main__':\n    {block}\n"
    )
    assert says.refusal.startswith(f"tests/a.py:{line}: "), says
    assert says.refusal.endswith(' Or leave the file as it is: runner = "pytest" in its entry.'), says


def test_a_main_block_that_perhaps_throws_its_result_away_is_a_remark(repository: Any) -> None:
    text = "import subprocess, sys\nif __name__ == '__main__':\n    subprocess.run([sys.argv[1]])\n"
    says = _says(repository, "tests/a.py", text)
    assert (says.fault, says.refusal) == ("", "")
    assert [(line, remark[:8]) for line, remark in says.remarks] == [(3, "perhaps ")]


@pytest.mark.parametrize(
    ("name", "text", "count", "line"),
    [
        ("a.sh", "#!/bin/bash\n# NUM_GPUS = 8\nrun", 8, 2),
        ("a.sh", "#!/bin/bash\n\n#NUM_GPUS=4\n#NUM_GPUS = 4\n", 4, 4),
        ("a.sh", "set -e\n# NUM_GPUS = 8\n", None, 1),
        ("a.sh", "# NUM_GPUS are many\nNUM_GPUS=8\n", None, 1),
        ("a.py", f"NUM_GPUS = 2 * 2\n{_TEST}", 4, 1),
        ("a.py", f"import pytest\npytestmark = pytest.mark.num_gpus(2)\n{_TEST}", 2, 2),
        ("a.py", f"pytestmark = [mark.num_gpus(count=3), mark.slow]\n{_TEST}", 3, 1),
        ("a.py", f"@pytest.mark.num_gpus(1)\n{_TEST}\n@pytest.mark.num_gpus(4)\ndef test_b(): pass\n", 4, 5),
        ("a.py", f"NUM_GPUS = 1\n@pytest.mark.num_gpus(4)\n{_TEST}", 1, 1),
        ("a.py", _TEST, None, 1),
    ],
)
def test_devices_are_declared_where_the_style_has_a_place(
    repository: Any, name: str, text: str, count: int | None, line: int
) -> None:
    says = _says(repository, name, text)
    assert (says.num_gpus, says.line, says.fault) == (count, line, "")


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("a.sh", "# NUM_GPUS = many\n", "a.sh:1: NUM_GPUS must be a whole number, and many is not"),
        ("a.sh", "# NUM_GPUS = -1\n", "a.sh:1: NUM_GPUS must be a whole number"),
        ("a.sh", "# NUM_GPUS = 1\n# NUM_GPUS = 2\n", "a.sh:2: NUM_GPUS is set on several lines (1, 2); keep one"),
        ("a.sh", "# REQUIRES_GPU = 1\n", "a.sh:1: REQUIRES_GPU must be True or False"),
        ("a.py", f"X = 1\n@pytest.mark.num_gpus(X)\n{_TEST}", "a.py:2: the marker num_gpus takes one whole number"),
    ],
)
def test_a_declaration_that_is_no_constant_is_a_fault(repository: Any, name: str, text: str, fault: str) -> None:
    assert _says(repository, name, text).fault.startswith(fault)


@pytest.mark.parametrize(
    ("style", "entry", "words"),
    [
        ("python", Entry("a.py", ("-x",)), ("py", "a.py", "-x")),
        (
            "pytest",
            Entry("a.py", ("-m", "not slow"), node="::t"),
            ("py", "-m", "pytest", "a.py::t", "-m", "not slow"),
        ),
        ("shell", Entry("a.sh", ("one two",)), ("bash", "a.sh", "one two")),
        ("torchrun", Entry("a.py"), ("py", "-m", "torch.distributed.run", "--nproc-per-node=2", "a.py")),
        ("module", Entry(module="a.b", args=("c=d",)), ("py", "-m", "a.b", "c=d")),
        ("command", Entry(command=("uv", "run", "pytest")), ("uv", "run", "pytest")),
    ],
)
def test_each_style_has_its_command(style: str, entry: Entry, words: tuple[str, ...]) -> None:
    assert STYLES[style].command(entry, 2, ("py",)) == words


def test_a_file_whose_name_begins_with_a_dash_is_no_option() -> None:
    for style in ("python", "pytest", "shell", "torchrun"):
        assert "./-c.py" in STYLES[style].command(Entry("-c.py"), 2, ("py",)), style


def test_a_launcher_of_the_interpreter_launches_the_shell_too() -> None:
    python = ("uv", "run", "--extra", "vllm", "python")
    assert STYLES["shell"].command(Entry("a.sh"), 0, python) == ("uv", "run", "--extra", "vllm", "bash", "a.sh")
    assert STYLES["shell"].command(Entry("a.sh"), 0, ("python3", "-X", "dev")) == ("bash", "a.sh")


def test_torchrun_is_not_started_without_a_device() -> None:
    with pytest.raises(UsageError, match="one process a device, and this test has none"):
        STYLES["torchrun"].command(Entry("a.py"), 0, ("py",))


def test_an_argument_that_only_shows_help_is_told(repository: Any) -> None:
    says = _says(repository, "tests/a.py", _RUNS, args=("--lr", "1", "--help"))
    assert says.remarks == (
        (1, "perhaps `--help` shows a program's help and ends it, so a failure is green. Take it out."),
    )
