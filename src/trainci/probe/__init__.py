"""What rides in the processes of a job: run by its file, it imports nothing but Python's own library.

``site`` is put on the ``PYTHONPATH`` of a job. It holds one file, which Python runs at its start
(``sitecustomize``), and which makes each process of the job answer where it is (see ``trainci.looks``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

# `<signal>:<folder>`: what makes a process write its stacks from C, whatever it does, and where they and the rest
# are written. The signal after it makes it write them between two instructions of Python.
VARIABLE = "TRAINCI_PROBE"
# The file to which is added how a process, and the tests that a framework ran in it, ended. Nobody within a
# framework's own run has it: that judges what it started.
ENDS_VARIABLE = "TRAINCI_ENDS"
# A real-time signal (signal(7)): none that Python, torch, NCCL, ray or a shell gives a meaning.
SIGNAL = 50
PYTHON_SIGNAL = SIGNAL + 1
SITE = str(Path(__file__).with_name("site"))


def variables(folder: Path, python_path: str) -> Mapping[str, str]:
    """What a job is told so that each of its Python processes answers in ``folder``.

    ``python_path`` is the ``PYTHONPATH`` that it would have otherwise.
    """
    return {VARIABLE: f"{SIGNAL}:{folder}", "PYTHONPATH": python_path_with(python_path)}


def python_path_with(python_path: str) -> str:
    """``python_path`` with the probe before it, once."""
    others = [part for part in python_path.split(os.pathsep) if part and part != SITE]
    return os.pathsep.join([SITE, *others])
