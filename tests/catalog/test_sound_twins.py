"""What real repositories do in good order is left alone, and its twin that drops a result is still found."""

from __future__ import annotations

import ast
import textwrap

import pytest

from trainci.catalog.main_block import main_blocks
from trainci.catalog.names import Names
from trainci.catalog.python.lost import lost_in_tests, lost_results

HEAD = "import asyncio, contextlib, subprocess, pytest, unittest\nasync def go(): assert 0\ndef check(): assert 0\n"
MAIN = 'if __name__ == "__main__":\n'
RUN = "    unittest.TextTestRunner().run(suite)\n"
# The sound one, and its twin.
TWINS = {
    "a decorator runs the coroutine": (
        "def test_a():\n    @runs\n    async def inner(): assert 0\n    inner()\n",
        "def test_a():\n    async def inner(): assert 0\n    inner()\n",
    ),
    "a fixture cleans up": (
        "@pytest.fixture\ndef a():\n    yield\n    try:\n        check()\n    except Exception: pass\n",
        "@pytest.fixture\ndef a():\n    yield\n    try:\n        assert 0\n    except Exception: pass\n",
    ),
    "what is suppressed is no test": (
        "def test_a():\n    with contextlib.suppress(Exception): disk.unmount()\n",
        "def test_a():\n    with contextlib.suppress(Exception): check()\n",
    ),
    "what is made is no test": (
        "def test_a():\n    with contextlib.suppress(Exception): trainer.fit(Model())\n",
        "def test_a():\n    with contextlib.suppress(Exception): trainer.fit(model())\n",
    ),
    "what a finally returns is computed": (
        f"def main():\n    try: check()\n    finally: return worst(all)\n{MAIN}    exit(main())\n",
        f"def main():\n    try: check()\n    finally: return 0\n{MAIN}    exit(main())\n",
    ),
    "what discovers is no loader": (
        "def test_a():\n    census.discover('x')\n",
        "def test_a():\n    unittest.defaultTestLoader.discover('x')\n",
    ),
    "a group waits for its tasks": (
        "async def test_a():\n    async with asyncio.TaskGroup() as g:\n        g.create_task(go())\n",
        "async def test_a():\n    async with make() as g:\n        asyncio.create_task(go())\n",
    ),
    "what is waited for is awaited": (
        "async def test_a():\n    a = start(go)\n    await asyncio.wait({a})\n    await a\n",
        "async def test_a():\n    a = start(go)\n    await asyncio.wait({a})\n    await b\n",
    ),
    "a file is only made": (
        "def test_a():\n    subprocess.run(['touch', 'x'])\n",
        "def test_a():\n    subprocess.run(['env', 'python', 'x'])\n",
    ),
    "a function is only made": (
        "def test_a():\n    try:\n        def f(): return old()\n        x.f = f\n    except Exception: pass\n",
        "def test_a():\n    try:\n        def f(): return old()\n        f()\n    except Exception: pass\n",
    ),
    "a parameter hides a fixture": (
        "@pytest.fixture\ndef ids(): return {1}\ndef test_a(ids):\n    assert ids\n",
        "@pytest.fixture\ndef ids(): return {1}\ndef test_a():\n    assert ids\n",
    ),
    "a variable hides a function": (
        "def went(): return 1 == 2\ndef test_a():\n    went = load()\n    assert went\n",
        "def went(): return 1 == 2\ndef test_a():\n    gone = load()\n    assert went\n",
    ),
    "a comparison raises": (
        "def test_a():\n    with pytest.raises(ValueError):\n        lazy == 1\n",
        "def test_a():\n    with torch.no_grad():\n        lazy == 1\n",
    ),
    "the output is asserted": (
        "def test_a():\n    p = subprocess.Popen(['bash', 'x'])\n    o, _ = p.communicate()\n    assert o\n",
        "def test_a():\n    p = subprocess.Popen(['bash', 'x'])\n    o, e = p.communicate()\n    print(o)\n",
    ),
    "a notebook has no exit code": (
        f"{MAIN}    if is_running_in_colab():\n    {RUN}    else: unittest.main()\n",
        f"{MAIN}    if is_running():\n    {RUN}    else: unittest.main()\n",
    ),
    "outside of a notebook that is not come to": (
        f"{MAIN}    try:\n        get_ipython()\n    {RUN}    except NameError: unittest.main()\n",
        f"{MAIN}    try:\n        go_on()\n    {RUN}    except NameError: unittest.main()\n",
    ),
}


@pytest.mark.parametrize("name", TWINS)
def test_a_sound_program_is_left_alone_and_its_twin_is_found(name: str) -> None:
    sound, twin = (_found(text) for text in TWINS[name])
    assert not sound and twin, (sound, twin)


def _found(text: str) -> list[object]:
    tree = ast.parse(HEAD + textwrap.dedent(text))
    names = Names(tree)
    return [
        *lost_in_tests(tree, names),
        *(one for block in main_blocks(tree) for one in lost_results(block, names)),
    ]
