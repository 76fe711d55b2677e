"""Pure: what a stack says of a process: that it waits for another one, or where in the program's own code it is."""

from __future__ import annotations

from collections.abc import Sequence

from trainci.model.look import ProcessLook, StackFrame, Thread

_MOST_PLACES = 3
# Frames that are a library's, or of what trainci has in each process: the probe stands around what it hears of.
# What a person knows is the frame that called it.
_LIBRARIES = (
    *("/site-packages/", "/dist-packages/", "/lib/python3", "/lib64/python3", "<frozen", "<string>"),
    "/trainci/probe/",
)
# By the end of a file and a function: a thread that is in one of these waits for another thread ...
_FOR_A_THREAD = {
    ("threading.py", "join"), ("threading.py", "wait"), ("threading.py", "_wait_for_tstate_lock"),
    ("queue.py", "get"), ("queue.py", "put"), ("_base.py", "result"),
}  # fmt: skip
# ... and in one of these for another process.
_FOR_A_PROCESS = {
    ("subprocess.py", "wait"), ("subprocess.py", "_wait"), ("subprocess.py", "communicate"),
    ("subprocess.py", "_communicate"), ("popen_fork.py", "poll"), ("popen_fork.py", "wait"),
    ("process.py", "join"), ("connection.py", "wait"), ("connection.py", "_recv"), ("connection.py", "poll"),
    ("queues.py", "get"), ("pool.py", "wait"), ("pool.py", "get"), ("spawn.py", "join"),
    ("dataloader.py", "_try_get_data"), ("api.py", "_invoke_run"), ("worker.py", "get_objects"),
}  # fmt: skip
# All of it is about other ranks.
_OTHER_RANKS = "/torch/distributed/"
_FORKED = ("popen_fork.py", "_launch")


def waits_for_another(each: ProcessLook) -> bool:
    """Whether its main thread waits for another process of the job, as far as its stack or its groups tell."""
    if any(group.waits for group in each.groups or ()):
        return True
    frames = each.threads[-1].frames if each.threads else ()
    return any(_OTHER_RANKS in frame.file or _key(frame) in _FOR_A_PROCESS for frame in _library_part(frames))


def busy_places(each: ProcessLook) -> tuple[str, ...]:
    """Where its threads are in the program's own code: those first that wait for no other thread."""
    threads = [thread for thread in reversed(each.threads or ()) if _own(thread.frames) is not None]
    first = [thread for thread in threads if not _waits_for_a_thread(thread)]
    return tuple(dict.fromkeys(_place(thread.frames) for thread in first or threads))[:_MOST_PLACES]


def named_place(each: ProcessLook) -> str:
    """Its place, as ``in `load_batch` (data.py:41)``: of the program's own code, else of what there is."""
    if each.state in ("T", "t"):
        return "stopped by a signal"
    if places := busy_places(each):
        return " and ".join(places)
    if each.threads and each.threads[-1].frames:
        return _shown(each.threads[-1].frames[0])
    return f"in the kernel's {each.waits_in}" if each.waits_in else f"a program without stacks (state {each.state})"


def _waits_for_a_thread(thread: Thread) -> bool:
    return any(_key(frame) in _FOR_A_THREAD for frame in _library_part(thread.frames))


def _library_part(frames: Sequence[StackFrame]) -> Sequence[StackFrame]:
    """The innermost frames, up to the program's own."""
    own = _own(frames)
    return frames if own is None else frames[: frames.index(own)]


def _own(frames: Sequence[StackFrame]) -> StackFrame | None:
    # Where a process was forked stands below it, and it is not there any more.
    forked = next((number for number, frame in enumerate(frames) if _key(frame) == _FORKED), len(frames))
    frames = frames[:forked]
    return next((frame for frame in frames if not any(part in frame.file for part in _LIBRARIES)), None)


def _place(frames: Sequence[StackFrame]) -> str:
    own, inner = _own(frames), frames[0]
    if own is None or own == inner:
        return _shown(inner)
    return f"{_shown(own)}, in {inner.function} ({_short(inner)})"


def _shown(frame: StackFrame) -> str:
    return f"in `{frame.function}` ({_short(frame)})"


def _short(frame: StackFrame) -> str:
    return f"{frame.file.rpartition('/')[2]}:{frame.line}"


def _key(frame: StackFrame) -> tuple[str, str]:
    return frame.file.rpartition("/")[2], frame.function
