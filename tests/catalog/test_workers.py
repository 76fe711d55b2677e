"""A thread or process that serves or answers the test loses nothing; its twin that runs a test unasked does."""

from __future__ import annotations

import ast
import textwrap

from trainci.catalog.names import Names
from trainci.catalog.python.lost import lost_in_tests

HEAD = """\
import functools, multiprocessing as mp, os, threading
from server import serve, wait_ready
def check(x=1): assert x
def work(x): compute(x)
def keeps():
    try: check()
    except Exception as error: errors.append(error)
def test_a():
"""
T, P, GO = "t = threading.Thread", "p = mp.Process", "p.start(); p.join()"
# The sound one, and its twin.
TWINS = {
    "a lambda that keeps failures": (
        f"{T}(target=lambda: keeps())\nt.start(); t.join()",
        f"{T}(target=lambda: (keeps(), check()))\nt.start(); t.join()",
    ),
    "a partial that keeps failures": (
        f"{T}(target=functools.partial(keeps))\nt.start()",
        f"{T}(target=functools.partial(check, 1))\nt.start()",
    ),
    "a daemon by its attribute": (
        f"{T}(target=work)\nt.daemon = True\nt.start()\n', '.join('ab')",
        f"{T}(target=check)\nt.daemon = True\nt.start()",
    ),
    "a daemon beside a worker that is joined": (
        f"{T}(target=work, daemon=True)\nt.start()\nother.join()",
        f"{T}(target=work, daemon=True)\nt.start()\nts.append(t)\nfor u in ts: u.join()",
    ),
    "a process that serves": (
        f"{P}(target=serve)\np.daemon = True\np.start()\nassert p.is_alive()",
        f"{P}(target=check)\np.daemon = True\np.start()\nassert p.is_alive()",
    ),
    "a process that does nothing": (
        f"def f(): pass\n{P}(target=f)\n{GO}",
        f"def f(): check()\n{P}(target=f)\n{GO}",
    ),
    "a process that is made to die": (f"def f(): os._exit(3)\n{P}(target=f)\n{GO}", f"{P}(target=serve)\n{GO}"),
    "a process that others ask": (
        f"{P}(target=check)\n{GO}\nwait_ready(process=p)",
        f"{P}(target=check)\n{GO}\nall.append(p); print(p)",
    ),
    "a process that is ended": (
        f"{P}(target=serve)\np.start()\ntry: check()\nfinally:\n    p.terminate()\n    p.join()",
        f"{P}(target=serve)\np.start()\np.join(9)\nif p.is_alive(): p.terminate()",
    ),
    "processes that are ended": (
        "ps = [mp.Process(target=serve)]\nfor p in ps: p.start()\nfor p in ps: p.kill()\nfor p in ps: p.join()",
        "ps = [mp.Process(target=serve)]\nfor p in ps: p.start()\nfor p in ps: p.join()",
    ),
    "an answer that is asserted by another name": (
        f"q = mp.Queue()\n{P}(target=serve, args=(q,))\np.start()\nr = [q.get()]\n{GO}\nassert r == [1]",
        f"q = mp.Queue()\n{P}(target=serve, args=(q,))\np.start()\nr = [q.get()]\n{GO}\nprint(r)",
    ),
    "an answer by a pipe": (
        f"a, b = mp.Pipe()\n{P}(target=serve, args=(b,))\n{GO}\nassert a.recv()",
        f"a, b = mp.Pipe()\n{P}(target=serve, args=(c,))\n{GO}\nassert a.recv()",
    ),
    "a worker that is given what it calls": (
        f"def f(x): compute(x)\nd = mp.Manager().dict()\n{P}(target=f, args=(d,))\n{GO}\nassert d['x']",
        f"def f(x, fn): fn(x)\nd = mp.Manager().dict()\n{P}(target=f, args=(d, g))\n{GO}\nassert d['x']",
    ),
    "an answer by a manager": (
        f"with mp.Manager() as m:\n    d = m.dict()\n    {P}(target=serve, args=(d,))\n    {GO}\n    assert d['x']",
        f"d = dict()\n{P}(target=serve, args=(d,))\n{GO}\nassert d['x']",
    ),
    "a list that a thread fills": (
        f"r = []\n{T}(target=work, args=(r,))\nt.start(); t.join()\nassert r",
        f"r = []\n{T}(target=work, args=(r,))\nt.start(); t.join()",
    ),
}


def test_a_worker_that_serves_or_answers_is_left_alone_and_its_twin_is_told():
    wrong = {}
    for name, twins in TWINS.items():
        told = []
        for body in twins:
            tree = ast.parse(HEAD + textwrap.indent(body, "    "))
            told.append(bool(lost_in_tests(tree, Names(tree))))
        if told != [False, True]:
            wrong[name] = told
    assert wrong == {}
