"""Lines of a hook: of what it raised, and of what it is at. None of ours, and none that only carries it."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType

_OURS = str(Path(__file__).parent)
_ASYNCIO = str(Path(asyncio.__file__).parent)


def place(trace: TracebackType | None) -> str:
    """``file:line`` of the innermost frame that is neither ours nor the import machinery's."""
    frames = [frame for frame in traceback.extract_tb(trace) if not _imports(frame)]
    foreign = [frame for frame in frames if not frame.filename.startswith(_OURS)] or frames
    return f"{foreign[-1].filename}:{foreign[-1].lineno}" if foreign else "no line of it is known"


def stack(frame: FrameType | None) -> list[str]:
    """``file:line, in name`` of each call below ours that led to ``frame``, then of what coroutines wait at."""
    running = traceback.extract_stack(frame)
    ours = [at for at, each in enumerate(running) if each.filename.startswith(_OURS)]
    frames = [*running[max(ours, default=-1) + 1 :], *_suspended()]
    carrying = (_OURS, _ASYNCIO)
    found = [each for each in frames if not (_imports(each) or each.filename.startswith(carrying))]
    return list(dict.fromkeys(f"{each.filename}:{each.lineno}, in {each.name}" for each in found))


def _imports(frame: traceback.FrameSummary) -> bool:
    return frame.filename.startswith("<frozen") or "importlib" in frame.filename


def _suspended() -> Iterator[traceback.FrameSummary]:
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:  # no loop runs
        return
    for task in tasks:
        coroutine: object = task.get_coro()
        while (frame := getattr(coroutine, "cr_frame", None)) is not None:
            yield traceback.FrameSummary(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
            coroutine = getattr(coroutine, "cr_await", None)
