from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from trainci.catalog.declarations import parse
from trainci.catalog.files import find_test_files
from trainci.catalog.styles import declarations
from trainci.model.tests import Declarations, Entry
from trainci.repository import Request, open_repository

_MAIN = '\nif __name__ == "__main__":\n    run()\n'


def _declared(repository: Any, source: str | bytes, tail: str = _MAIN) -> Declarations:
    """What a program declares that begins with ``source``."""
    start = source.encode() if isinstance(source, str) else source
    repository.write("tests/test_x.py", start + tail.encode())
    return declarations(repository.root, Entry("tests/test_x.py"))


@pytest.mark.parametrize(
    ("source", "count", "line"),
    [
        ("NUM_GPUS = 2", 2, 1),
        ("# NUM_GPUS = 9\nNUM_GPUS: int = 2  # two", 2, 2),
        ("NUM_GPUS = 2 * 4", 8, 1),
        ("NUM_GPUS = (1 << 3) - 2 ** 2 + 7 // 2 % 2", 5, 1),
        ("NUM_GPUS = COUNT = 4", 4, 1),
        ("COUNT = NUM_GPUS = +0", 0, 1),
        ("NUM_GPUS: int\nNUM_GPUS = 3", 3, 2),
        ("NUM_GPUS = 3\nNUM_GPUS = 3", 3, 2),
        ("NUM_GPUS = 10**9", 10**9, 1),
        ("NUM_GPUS = \\\n  0x10", 16, 1),
        ('"""NUM_GPUS = 4"""\n', None, 1),
        ("def f():\n    NUM_GPUS = 4\n", None, 1),
        ("x.NUM_GPUS = 4\nNUM_GPUS_2 = 5", None, 1),
        ("", None, 1),
    ],
)
def test_a_constant_at_the_top_level_is_read(repository: Any, source: str, count: int | None, line: int) -> None:
    assert _declared(repository, source) == Declarations(num_gpus=count, line=line)


@pytest.mark.parametrize(
    ("source", "requires_gpu", "line"),
    [
        ("NUM_GPUS = 4", False, 1),
        ("NUM_GPUS = 4\nREQUIRES_GPU = True", True, 2),
        ("REQUIRES_GPU: bool = True", True, 1),
        ("x = 1\nREQUIRES_GPU = False", False, 2),
        ("def f():\n    REQUIRES_GPU = True", False, 1),
    ],
)
def test_whether_virtual_devices_will_do_is_read(
    repository: Any, source: str, requires_gpu: bool, line: int
) -> None:
    says = _declared(repository, source)
    assert (says.requires_gpu, says.requires_gpu_line, says.fault) == (requires_gpu, line, "")


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (
            "X = 1\nNUM_GPUS = 4 if X else 8",
            "2: NUM_GPUS must be a whole number or arithmetic on whole numbers (2 * 4), and `4 if X else 8` is not",
        ),
        ("NUM_GPUS = os.environ['N']", "1: NUM_GPUS must be a whole number"),
        (
            "NUM_GPUS = '4'",
            "1: NUM_GPUS must be a whole number or arithmetic on whole numbers (2 * 4), and `'4'` is not",
        ),
        ("NUM_GPUS = 4.0", "1: NUM_GPUS must be a whole number"),
        ("NUM_GPUS = True", "1: NUM_GPUS must be a whole number"),
        ("NUM_GPUS = None", "1: NUM_GPUS must be a whole number"),
        ("NUM_GPUS = 8 / 2", "1: NUM_GPUS must be a whole number"),
        ("NUM_GPUS = -1", "1: NUM_GPUS is -1; it cannot be negative"),
        ("NUM_GPUS = 1 // 0", "1: NUM_GPUS divides by zero: `1 // 0`"),
        ("NUM_GPUS = 10**9 + 1", "1: NUM_GPUS is out of range: `10 ** 9 + 1`"),
        ("NUM_GPUS = 9 ** 9 ** 9 ** 9", "1: NUM_GPUS is out of range: "),
        ("NUM_GPUS = 1 << 10**9", "1: NUM_GPUS is out of range: "),
        ("NUM_GPUS = 2 ** -1", "1: NUM_GPUS is out of range: "),
        ("NUM_GPUS = 99999999999", "1: NUM_GPUS is out of range: `99999999999`"),
        ("NUM_GPUS = 0x" + "f" * 5000, "1: NUM_GPUS is out of range: the number"),
        ("NUM_GPUS = " + "(" * 5000, "1: does not parse"),
        ("NUM_GPUS, X = 4, 5", "1: NUM_GPUS is unpacked from a tuple; give it a line of its own"),
        ("NUM_GPUS = 4\nNUM_GPUS += 4", "2: NUM_GPUS is changed after its declaration; write the final value"),
        ("NUM_GPUS = 4\nNUM_GPUS = 8", "2: NUM_GPUS is set on several lines (1, 2); keep one"),
        ("from shared import NUM_GPUS", "1: NUM_GPUS is imported; write the value in this file"),
        ("import shared as NUM_GPUS", "1: NUM_GPUS is imported"),
        ("REQUIRES_GPU = 1", "1: REQUIRES_GPU must be True or False, and `1` is neither"),
        ("NUM_GPUS = 4\nREQUIRES_GPU = not X", "2: REQUIRES_GPU must be True or False, and `not X` is neither"),
        ("REQUIRES_GPU = True\nREQUIRES_GPU = False", "2: REQUIRES_GPU is set on several lines (1, 2); keep one"),
        ("if X:\n    REQUIRES_GPU = True", "2: REQUIRES_GPU is set inside a `if` block; write one constant"),
        ("from shared import REQUIRES_GPU", "1: REQUIRES_GPU is imported; write the value in this file"),
        ("NUM_GPUS = 0\nREQUIRES_GPU = True", "2: REQUIRES_GPU contradicts NUM_GPUS = 0; remove one of them"),
        ("if X:\n    NUM_GPUS = 4\nelse:\n    NUM_GPUS = 8", "4: NUM_GPUS is set inside a `if` block"),
        ("try:\n    NUM_GPUS = 4\nexcept E:\n    pass", "2: NUM_GPUS is set inside a `try` block"),
        ("for NUM_GPUS in x:\n    pass", "1: NUM_GPUS is set inside a `for` block"),
        ("x = 1\ndef f(:\n", "2: does not parse"),
        ("x = '\\0'\n\0", "1: does not parse"),
        (b"\xff\xfe" + "NUM_GPUS = 4".encode("utf-16-le"), "1: does not parse"),
        (b"# coding: no-such-code\nNUM_GPUS = 4", "1: does not parse: "),
        (b"NUM_GPUS = '\xe9'", "1: does not parse"),
    ],
)
def test_what_is_no_constant_is_a_fault_with_its_line(repository: Any, source: str | bytes, fault: str) -> None:
    says = _declared(repository, source)
    assert says.num_gpus is None
    assert says.fault.startswith(f"tests/test_x.py:{fault}")


NEWER = "def test_a[T: (](x): pass\n"  # of no Python yet
LARGE = "def test_a(): pass\n" + "#" * 2**19


def test_a_file_that_only_pytest_can_read_is_pytests_and_one_that_may_say_more_is_a_fault(repository: Any) -> None:
    block = 'if __name__ == "__main__":\n    '
    for source in (NEWER, LARGE, f"class TestA(unittest.TestCase):\n  (\n{block}unittest.main()\n"):
        says = _declared(repository, source, tail="")
        assert (says.style, says.num_gpus, says.fault) == ("pytest", None, ""), source[:80]
        assert says.unread.startswith("tests/test_x.py:")
        assert "tests/test_x.py" in says.unread and ("does not parse" in says.unread or "512 KiB" in says.unread)
    told = (f"NUM_GPUS = 2\n{NEWER}", f"{LARGE}\nNUM_GPUS = 2", f"{NEWER}{block}main()\n", "x = (", LARGE * 17)
    for source in (*told, f"@pytest.mark.num_gpus(2)\n{NEWER}"):
        says = _declared(repository, source, tail="")
        assert says.fault and not says.unread, source[:80]


@pytest.mark.slow
@pytest.mark.parametrize(("source", "code"), [(NEWER, 1), (LARGE, 0)])
def test_such_a_file_runs_and_is_red_where_the_tests_own_python_cannot_read_it(
    repository: Any, source: str, code: int, tmp_path: Any
) -> None:
    repository.write("trainci.toml", '[project]\ntests = ["tests/*.py"]\n[suites.a]\ntests = ["tests/*.py"]\n')
    repository.write("tests/test_x.py", source)
    repository.init()
    said = repository.trainci("run", "a", environment={"TRAINCI_LOCK_DIR": str(tmp_path / "lock")})
    assert said.code == code, said
    said = repository.trainci("check")
    assert said.code == 1 and "It runs by pytest all the same, unread. [not-read]" in said.out, said


@pytest.mark.parametrize(
    "source",
    [
        b"\xef\xbb\xbfNUM_GPUS = 4",
        b"# -*- coding: latin-1 -*-\nX = '\xe9'\nNUM_GPUS = 4",
        b"# vim: set fileencoding=cp1252 :\nX = '\x80'\r\nNUM_GPUS = 4\r\n",
        "X = 'é 数'\nNUM_GPUS = 4".encode(),
        b"X = '\\d'\nNUM_GPUS = 4",
        b"\x0cNUM_GPUS = 4",
    ],
)
def test_any_encoding_that_python_accepts_is_read(repository: Any, source: bytes) -> None:
    assert _declared(repository, source).num_gpus == 4


@pytest.mark.parametrize(
    ("source", "has_main"),
    [
        (_MAIN, True),
        ("if '__main__' == __name__: run()", True),
        ("if __name__ == '__main__' and READY:\n    run()", True),
        ("if __name__ != '__main__': run()", False),
        ("if __name__ == 'main': run()", False),
        ("def f():\n    if __name__ == '__main__': run()", False),
        ("# if __name__ == '__main__':", False),
        ("", False),
    ],
)
def test_a_main_block_is_seen(repository: Any, source: str, has_main: bool) -> None:
    assert ("nothing would run" not in _declared(repository, source, "").refusal) is has_main


_CALL = "\nif __name__ == '__main__':\n    "


@pytest.mark.parametrize(
    ("source", "phased"),
    [
        (f"from trainci.testing import main{_CALL}main(prepare, execute)", True),
        (f"from trainci.testing import exec_command, main as go{_CALL}go(prepare, execute)", True),
        (f"from trainci import testing{_CALL}testing.main(prepare, execute)", True),
        (f"import trainci.testing{_CALL}trainci.testing.main(prepare, execute)", True),
        (f"import trainci.testing as U{_CALL}U.main(prepare, execute=execute)", True),
        (f"{_CALL}from trainci.testing import main\n    main(prepare, execute)", True),
        (f"from trainci.testing import main{_CALL}main(prepare, execute)\n    more()", False),
        (f"from trainci.testing import main{_CALL}prepare(); execute()", False),
        (f"from trainci.testing import main{_CALL}check()\n    main(prepare, execute)", False),
        (f"from trainci.testing import main{_CALL}main(prepare, execute)\nelse:\n    x()", False),
        (f"from trainci.testing import main{_CALL}main(prepare, execute){_CALL}more()", False),
        (f"from trainci.testing import main{_CALL}sys.exit(main(prepare, execute))", False),
        (f"from trainci.testing import main\ndef main(*x): pass{_CALL}main(prepare, execute)", False),
        (f"from trainci.testing import main\nmain = other{_CALL}main(prepare, execute)", False),
        (f"from other import main{_CALL}main(prepare, execute)", False),
        (f"from .trainci.testing import main{_CALL}main(prepare, execute)", False),
        (f"import trainci{_CALL}trainci.main(prepare, execute)", False),
        (f"def main(*x): pass{_CALL}main(prepare, execute)", False),
        (f"{_CALL}main(prepare, execute)", False),
        ("from trainci.testing import main\nmain(prepare, execute)", False),
    ],
)
def test_only_a_main_block_that_is_one_call_of_ours_has_phases(repository: Any, source: str, phased: bool) -> None:
    assert _declared(repository, source, "").phased is phased
    assert _declared(repository, f"NUM_GPUS = 2\n{source}", "").phased is phased


@settings(max_examples=examples(150))
@given(
    source=st.one_of(
        st.binary(max_size=60), st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace"))
    ),
    tail=st.sampled_from([b"", b"\nNUM_GPUS = 1", b" = NUM_GPUS = 2\n"]),
)
def test_any_bytes_give_declarations(new_repository: Callable[[], Any], source: bytes, tail: bytes) -> None:
    says = _declared(new_repository(), source + tail)
    assert says.fault.isprintable()
    assert not says.fault or says.fault.startswith("tests/test_x.py:")


_EXPRESSIONS = st.recursive(
    st.integers(0, 40).map(str),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "//", "%", "**", "<<"]), inner).map(
            lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
        ),
        inner.map(lambda text: f"-{text}"),
        inner.map(lambda text: f"+{text}"),
    ),
    max_leaves=6,
)


@settings(max_examples=examples(200))
@given(expression=_EXPRESSIONS)
def test_arithmetic_means_what_python_means_by_it_or_is_a_fault(
    new_repository: Callable[[], Any], expression: str
) -> None:
    says = _declared(new_repository(), f"NUM_GPUS = {expression}")
    if says.num_gpus is not None:
        # What was read is in range, so evaluating it is safe.
        assert says.num_gpus == eval(expression)
        assert 0 <= says.num_gpus <= 10**9
    else:
        assert "NUM_GPUS" in says.fault


@settings(max_examples=examples(100))
@given(numbers=st.lists(st.integers(1, 1000), min_size=1, max_size=5), sign=st.sampled_from(["+", "*"]))
def test_sums_and_products_up_to_the_limit_are_read(
    new_repository: Callable[[], Any], numbers: list[int], sign: str
) -> None:
    expression = f" {sign} ".join(map(str, numbers))
    value = eval(expression)
    says = _declared(new_repository(), f"NUM_GPUS = {expression}")
    assert says.num_gpus == (value if value <= 10**9 else None)


@pytest.mark.parametrize("terms", [500, 900, 950, 985, 1000, 1100, 4000])
@pytest.mark.parametrize("expression", ["1 + ", "-+"])
def test_an_endless_expression_is_a_number_or_a_fault(repository: Any, expression: str, terms: int) -> None:
    says = _declared(repository, f"NUM_GPUS = {expression * terms}1")
    assert (says.num_gpus is None) == bool(says.fault)
    assert says.num_gpus in (None, 1, terms + 1)


def test_a_file_that_cannot_be_read_is_a_fault(repository: Any) -> None:
    (repository.root / "tests").mkdir()
    for name, sentence in (("gone.py", "No such file"), ("x" * 300, "File name too long"), ("", "Is a directory")):
        says = declarations(repository.root, Entry(f"tests/{name}", runner="python"))
        assert f": cannot be read: {sentence}" in says.fault


def test_no_test_file_is_ever_run(repository: Any) -> None:
    says = _declared(repository, "open('ran', 'w')\nraise SystemExit(3)\nNUM_GPUS = 1")
    assert says == Declarations(num_gpus=1, line=3)
    assert not (repository.root / "ran").exists() and not Path("ran").exists()


def test_test_files_are_those_that_match_and_end_in_py(repository: Any) -> None:
    for name in ("tests/test_b.py", "tests/test_a.py", "tests/sub/test_c.py", "tests/test_d.txt", "tests/other.py"):
        repository.write(name)
    repository.write("tests/.hidden/test_e.py")
    repository.write("tests/__pycache__/test_f.py")
    repository.write("tests/test_dir.py/inner.txt")
    assert find_test_files(repository.root, ["tests/test_*"]) == ("tests/test_a.py", "tests/test_b.py")
    assert find_test_files(repository.root, ["**/test_*.py", "tests/test_*.py"]) == (
        "tests/sub/test_c.py",
        "tests/test_a.py",
        "tests/test_b.py",
    )
    assert find_test_files(repository.root, ["nowhere/*.py", "tests/other.py/*.py"]) == ()


def test_links_that_lead_in_circles_end(repository: Any) -> None:
    repository.write("tests/test_a.py")
    (repository.root / "tests" / "test_loop.py").symlink_to("test_loop.py")
    (repository.root / "tests" / "test_gone.py").symlink_to("nowhere.py")
    (repository.root / "tests" / "up").symlink_to("..")
    assert find_test_files(repository.root, ["**/test_*.py"]) == ("tests/test_a.py",)


def test_a_name_that_is_no_text_is_found_and_read(repository: Any) -> None:
    repository.write(b"tests/test_\xff.py", f"NUM_GPUS = 3{_MAIN}")
    (file,) = find_test_files(repository.root, ["tests/test_*.py"])
    assert os.fsencode(file) == b"tests/test_\xff.py"
    assert declarations(repository.root, Entry(file)).num_gpus == 3


def test_a_file_that_does_not_parse_says_by_which_python(repository: Any) -> None:
    version = "{}.{}".format(*sys.version_info)
    assert _declared(repository, "def f(:").fault.endswith(f"(as Python {version}, on which trainci runs)")


def test_a_file_is_read_once_however_many_entries_start_it(
    repository: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = []
    monkeypatch.setattr("trainci.catalog.styles.base.parse", lambda text: parsed.append(text) or parse(text))
    for name in "abc":
        repository.write(
            f"tests/test_{name}.py", f"NUM_GPUS = 0\n\nif __name__ == '__main__':\n    print({name!r})\n"
        )
    entries = [f'{{ path = "tests/test_{n}.py", args = ["{i}"] }}' for i in range(20) for n in "abc"]
    repository.write("trainci.toml", f"[suites.s]\ntests = [{', '.join(entries)}]\n")
    monkeypatch.chdir(repository.root)
    said = open_repository().select(Request(("s",)))
    assert len(said.tests) == 60
    assert len(parsed) == 3, "to see that it is a program, and to read it"
