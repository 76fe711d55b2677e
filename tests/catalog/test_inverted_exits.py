"""A truth value handed to ``sys.exit`` is told where it is true of what went well, not where of a failure."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from trainci.catalog.names import Names
from trainci.catalog.python.inverted_exits import inverted_exit

CAUGHT = "try:\n        assert 0\n    except AssertionError:\n        return {}\n    return {}"
# What the program exits with, and the body of `main`; the names are those of what went wrong.
GREEN_OVER_A_FAILURE = {
    "equal": ("main()", "return 1 == 2"),
    "is": ("main()", "return 1 is None"),
    "all": ("main()", "return all([True, False])"),
    "all of a comparison": ("main()", "return all(x == 1 for x in [1, 2])"),
    "no failures": ("main()", "failures = [1]\n    return len(failures) == 0"),
    "no errors": ("main()", "errors = [1]\n    return not errors and 1 == 1"),
    "no failures in a list": ("main()", "failures = [1]\n    return failures == []"),
    "caught": (
        "main()",
        CAUGHT.format(False, True),
    ),
    "a flag": ("main()", "ok = True\n    for x in [1]:\n        if x == 1:\n            ok = False\n    return ok"),
    "success": ("main()", "success = True\n    if 1:\n        success = False\n    return success"),
    "bool": ("bool(main())", "return 1 == 2"),
    "not different": ("not main()", "return 1 != 2"),
    "both": ("main() and main()", "return 1 == 2"),
    "what another returns": ("main()", "return other()\ndef other():\n    return 1 == 2"),
    "a method": ("T().all_is_right()", "pass\nclass T:\n    def all_is_right(self):\n        return 1 == 2"),
    "chosen": ("True if main() else False", "return 1 == 2"),
}
MAYBE = {
    "by its name": ("passed", "pass\npassed = False"),
    "what is left for the end": ("main()", "if 1:\n        return False\n    return True"),
    "a flag's first value": ("main()", "x = True\n    if 1:\n        x = False\n    return x"),
    "many tries": (
        "main()",
        "ok = True\n    for x in [1, 2]:\n        ok = ok and other(x)\n    return ok",
    ),
}
SOUND = {
    "not": ("not main()", "return 1 == 2"),
    "different": ("main()", "return 1 != 2"),
    "bool of errors": ("main()", "errors = [1]\n    return bool(errors)"),
    "some errors": ("main()", "errors = [1]\n    return len(errors) > 0"),
    "any failed": ("main()", "return any(x.failed for x in [])"),
    "any": ("main()", "return any(x for x in [])"),
    "any different": ("main()", "return any(x != 1 for x in [])"),
    "a code": ("main()", "return 0 if 1 == 1 else 1"),
    "a code of something": ("done.returncode == 0", "pass"),
    "a code of a call": ("main() == 1", "return 1"),
    "numbers": ("main()", "if 1:\n        return 1\n    return 0"),
    "failed": ("main()", "failed = False\n    if 1:\n        failed = True\n    return failed"),
    "caught and True": (
        "main()",
        CAUGHT.format(True, False),
    ),
    "what fails early": ("main()", "if 1:\n        return True\n    return False"),
    "whether it failed": ("failed()", "pass\ndef failed():\n    if 1:\n        return False\n    return True"),
    "unknown": ("main()", "return something()"),
    "a number": ("main()", "return count"),
    "itself": ("main()", "return main()"),
    "everything is wrong": ("main()", "return all(x != 1 for x in [])"),
    "a status": ("main()", "status = run()\n    return status == 'failed'"),
}


def told(given: str, body: str) -> list[bool]:
    """Whether each of what is told is certain."""
    tree = ast.parse(f"def main():\n    {body}\nsys.exit({given})\n")
    call = next(
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "sys.exit"
    )
    found = inverted_exit(call, Names(tree), True)
    return [found.certain] if found else []


@pytest.mark.parametrize("name", GREEN_OVER_A_FAILURE)
def test_an_exit_with_what_is_true_where_all_is_well_is_told_for_certain(name: str) -> None:
    assert told(*GREEN_OVER_A_FAILURE[name]) == [True]


@pytest.mark.parametrize("name", GREEN_OVER_A_FAILURE)
def test_such_a_program_is_green_over_its_failure(name: str) -> None:
    given, body = GREEN_OVER_A_FAILURE[name]
    program = f"import sys\ndef main():\n    {body}\nsys.exit({given})\n"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("name", MAYBE)
def test_what_may_be_turned_round_is_told_and_not_refused(name: str) -> None:
    assert told(*MAYBE[name]) == [False]


@pytest.mark.parametrize("name", SOUND)
def test_what_is_true_of_a_failure_is_left_alone(name: str) -> None:
    assert told(*SOUND[name]) == []
