"""A report of many tests takes as much longer as there are more of them, and not the square of that."""

from __future__ import annotations

import gc
import io
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from browser.runs import made

from trainci.answers.form import text_of
from trainci.console.plain import Console
from trainci.history.runs import run_of
from trainci.model.events import Control
from trainci.model.run import Run
from trainci.reports import summary
from trainci.reports.answer import finished
from trainci.reports.ctrf import ctrf
from trainci.reports.junit import junit
from trainci.reports.page import page
from trainci.reports.timeline import slices
from trainci.reports.trace import trace

pytestmark = pytest.mark.slow

Told = list[Control]
REPORTS: dict[str, Callable[[Run, Told, Path], object]] = {
    "page": lambda run, told, root: page(run, slices(told), root, {}, root),
    "junit": lambda run, _, root: junit(run, root),
    "ctrf": lambda run, _, root: ctrf(run, root),
    "trace": lambda run, told, _: trace(run, slices(told)),
    "json": lambda run, _, __: text_of(finished(run)),
    "summary": lambda run, _, __: summary.markdown(run),
    "terminal": lambda run, _, root: Console(io.StringIO(), time.time).summary(run, root),
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_grows_with_its_tests_and_not_with_their_square(name: str, tmp_path: Path) -> None:
    """Sixteen times the tests: a square takes 256 times as long.

    In CPU time of this thread, which others leave alone, and without a walk through what earlier tests have left.
    """

    def took(tests: int) -> float:
        root = tmp_path / str(tests)
        root.mkdir(exist_ok=True)
        told = made(root, tests, 8)
        run = run_of(told)
        gc.disable()
        try:
            began = time.thread_time()
            REPORTS[name](run, told, root)
            return time.thread_time() - began
        finally:
            gc.enable()

    took(50)
    few = min(took(100) for _ in range(3))
    assert took(1600) < 32 * few + 0.1
