"""A program whose tests stand under a condition is found, and one that always comes to a test is left alone."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.catalog.lost import LostResult
from trainci.catalog.names import Names
from trainci.catalog.python.may_run_nothing import may_run_nothing

HEAD = "import os, sys\ndef test():\n    assert False\n"
MAIN = 'if __name__ == "__main__":\n'


def found(text: str) -> LostResult | None:
    tree = ast.parse(f"{HEAD}{text}")
    return may_run_nothing(tree, Names(tree))


ONE_OF_TWO = "    if args.a: test()\n    elif args.b: other()\n"
MODES = f"{MAIN}    p.add_argument('--run-mode', default='a', choices=['a', 'b'])\n    args = p.parse_args()\n"
THREE = MODES.replace("'b'", "'b', 'c'")
GROUP = f"{MAIN}    p = p.add_mutually_exclusive_group(required=True)\n"
OPTIONS = "    p.add_argument('-a', '--a')\n    p.add_argument('--b')\n"
RAN = f"{MAIN}    if args.a:\n        test()\n        ran = True\n"
PERHAPS = [
    f"{MAIN}    if os.environ.get('RUN_IT'):\n        test()\n",
    f"{MAIN}    import time\n    print('begin')\n    if os.getenv('RUN_IT') == '1':\n        test()\n",
    'if __name__ == "__main__" and os.environ.get("RUN_IT"):\n    test()\n',
    f"{MAIN}    if len(sys.argv) > 1:\n        test()\n    else:\n        print('usage')\n",
    f"def main():\n    if os.environ.get('RUN_IT'):\n        test()\n{MAIN}    main()\n",
    f"def main():\n    if not os.environ.get('RUN_IT'):\n        return\n    test()\n{MAIN}    main()\n",
    f"{MAIN}    if not os.environ.get('RUN_IT'):\n        print('skipped')\n        sys.exit(0)\n    test()\n",
    f"if os.environ.get('RUN_IT'):\n    {MAIN.strip()}\n        test()\n",
    f"{MAIN}    for one in tests():\n        pass\n    if sys.argv:\n        test()\ndef tests():\n    return []\n",
    f"{MAIN}    try:\n        if os.getenv('RUN_IT'):\n            test()\n    finally:\n        print('end')\n",
    f"{MAIN}    if a:\n        test()\n    elif b:\n        test()\n",
    f"try:\n    import jax\nexcept ImportError:\n    sys.exit(0)\n{MAIN}    test()\n",
    f"{MAIN}    if not sys.argv:\n        sys.exit(2)\n    if os.environ.get('RUN_IT'):\n        test()\n",
    f"{MAIN}    for one in list(globals()):\n        if one.startswith('no_'):\n            globals()[one]()\n",
    f"{MAIN}    if not args.a and not args.c: raise ValueError\n{ONE_OF_TWO}",
    f"{MAIN}    if not (args.a or args.b): sys.exit(0)\n{ONE_OF_TWO}",
    f"{MAIN}    if not (args.a or args.b): sys.exit(1)\n    args.a = args.b = 0\n{ONE_OF_TWO}",
    f"{THREE}    if args.run_mode == 'a': test()\n    elif args.run_mode == 'b': other()\n",
    f"{GROUP}    p.add_argument('--c')\n{OPTIONS}{ONE_OF_TWO}",
    f"{RAN}    if args.b:\n        sys.exit(1)\n",
]
CERTAIN = [
    f"{MAIN}    if False:\n        test()\n",
    f"{MAIN}    if 0:\n        test()\n    else:\n        print('no')\n",
    f"{MAIN}    while False:\n        test()\n",
    f"{MAIN}    for one in []:\n        test()\n",
    f"{MAIN}    print('begin')\n    sys.exit(0)\n    test()\n",
    f"def main():\n    return\n    test()\n{MAIN}    main()\n",
    f"def main():\n    os._exit(0)\n    test()\n{MAIN}    main()\n",
    'if __name__ == "main":\n    test()\n',
    'if __name__ == "__main":\n    test()\nprint("end")\n',
    'if __name__ != "__main__":\n    test()\n',
    f"if False:\n    {MAIN.strip()}\n        test()\n",
]
SOUND = [
    f"{MAIN}    n = 0\n    for one in (test,):\n        if one(): n += 1\n    if n: ...\n    else: sys.exit(1)\n",
    f"{MAIN}    test()\n",
    f"def main():\n    loss = 1\n    if loss != loss:\n        print()\n        sys.exit(1)\n{MAIN}    main()\n",
    f"{MAIN}    for one in list(globals()):\n        if one.startswith('test'):\n            globals()[one]()\n",
    f"{MAIN}    if len(sys.argv) > 1:\n        test()\n    else:\n        other()\n",
    f"{MAIN}    if os.environ.get('MORE'):\n        test()\n    test()\n",
    f"{MAIN}    if not sys.argv:\n        sys.exit(1)\n    test()\n",
    f"{MAIN}    if not sys.argv:\n        raise ValueError\n    test()\n",
    f"{MAIN}    test()\n    if sys.argv:\n        sys.exit(0)\n    test()\n",
    f"{MAIN}    for one in range(3):\n        test()\n",
    f"{MAIN}    with open('x'):\n        test()\n",
    f"{MAIN}    import unittest\n    unittest.main()\n",
    f"def main():\n    print('x')\n    return test()\n{MAIN}    sys.exit(main())\n",
    f"def main(depth):\n    return main(depth - 1) if depth else 0\n{MAIN}    main(3)\n",
    f"{MAIN}    print('nothing to see')\n",
    "test()\n",
    "if __name__ is '__main__':\n    test()\n",
    'if not __name__ != "__main__":\n    test()\n',
    f"def prepare():\n    if os.path.exists('x'):\n        return\n    fetch()\n{MAIN}    prepare()\n    test()\n",
    f"{MAIN}    if not args.a and not args.b: raise ValueError\n{ONE_OF_TWO}",
    f"{MAIN}    if not (args.a or args.b):\n        p.print_help()\n        sys.exit(1)\n{ONE_OF_TWO}",
    f"{MAIN}    if not any([args.a, args.b]): p.error('one of both')\n{ONE_OF_TWO}",
    f"{MAIN}    if args.a is None and args.b is None: raise ValueError\n{ONE_OF_TWO}",
    f"{MODES}    if args.run_mode == 'a': test()\n    if args.run_mode != 'a': other()\n",
    f"{THREE}    if args.run_mode in ('a', 'c'): test()\n    elif args.run_mode == 'b': other()\n",
    f"{GROUP}{OPTIONS}{ONE_OF_TWO}",
    f"{RAN}    if not ran: sys.exit(1)\n",
    f"{MAIN}    if not torch.cuda.is_available(): other()\n    if torch.cuda.is_available(): test()\n",
]


@pytest.mark.parametrize("text", PERHAPS)
def test_a_condition_without_which_nothing_runs_is_told(text: str) -> None:
    lost = found(text)
    assert lost is not None and not lost.certain


@pytest.mark.parametrize("text", CERTAIN)
def test_a_program_that_never_comes_to_its_tests_is_found_for_certain(text: str) -> None:
    lost = found(text)
    assert lost is not None and lost.certain


@pytest.mark.parametrize("text", SOUND)
def test_a_program_that_comes_to_a_test_is_left_alone(text: str) -> None:
    assert found(text) is None


@given(st.lists(st.sampled_from([*PERHAPS, *CERTAIN, *SOUND]), max_size=3))
def test_any_program_is_read(texts: list[str]) -> None:
    found("".join(texts))


def test_check_tells_the_condition_and_run_refuses_what_never_runs(repository: Any) -> None:
    listed = '"tests/a.py", { path = "tests/b.py", runner = "python" }'
    repository.write("trainci.toml", f"[suites.s]\nnum_gpus = 0\ntests = [{listed}]\n")
    repository.write("tests/a.py", f"{HEAD}{PERHAPS[0]}")
    repository.write("tests/b.py", f'{HEAD}if __name__ == "main":\n    test()\n')
    said = repository.trainci("check")
    assert "tests/a.py:5: perhaps no test runs where the program turns away here" in said.out
    assert "tests/b.py:4: no test stands where the program comes" in said.out
    locks = {"TRAINCI_LOCK_DIR": str(repository.root / "locks")}
    ran = repository.trainci("run", "tests/b.py", "--devices", "cpu:1", environment=locks)
    assert ran.code == 2 and "no test stands where the program comes" in ran.out
