"""What a process of torch.distributed answers, run by ``site/sitecustomize.py`` once that is imported.

From the first process group on, a thread waits for a byte in the pipe ``PID.ask`` and writes what torch knows of
its collectives to ``PID.groups``, or where the threads are; its own number is in ``PID.thread``. A program without
process groups gets no thread, since it may fork.
"""

import os
import sys

_WATCHED = "torch.distributed.distributed_c10d"


def wrap(probe, module):
    """Hear of its first process group."""
    import functools

    original = module.init_process_group

    @functools.wraps(original)
    def init_process_group(*arguments, **options):
        _listen(probe)
        return original(*arguments, **options)

    module.init_process_group = init_process_group


def _listen(probe):
    try:
        if probe.listens:
            return
        import _thread

        path = probe.path("ask")
        if os.path.lexists(path):
            os.unlink(path)
        os.mkfifo(path, 0o600)
        asked = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        probe.listens = True
        # Not of the module `threading`, whose list a test may count.
        _thread.start_new_thread(_answer, (probe, asked))
    except Exception:
        pass


def _answer(probe, asked):
    pid = os.getpid()
    try:
        # A signal to this thread interrupts no other one, whatever that waits for in C.
        _write(probe, "thread", _native_id())
    except Exception:
        pass
    while (said := os.read(asked, 64)) and os.getpid() == pid:
        try:
            if b"s" in said:
                probe.answer()
            if b"?" in said:
                _write(probe, "groups", _groups())
        except Exception:
            pass


def _write(probe, kind, said):
    import json

    path = probe.path(kind)
    part = path + ".part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(part, flags, 0o600), "w") as file:
        json.dump(said, file)
    os.rename(part, path)


def _native_id():
    import _thread

    return _thread.get_native_id()


def _groups():
    """What torch knows of this process's groups: who is in them, the last collective, the first that waits."""
    c10d = sys.modules[_WATCHED]
    if not c10d.is_initialized():
        return {"rank": None, "world_size": None, "groups": []}
    world = c10d._world
    entries = _entries()
    groups = []
    for group, name in list(world.pg_names.items()):
        own = [entry for entry in entries if str((entry.get("process_group") or ("",))[0]) == str(name)]
        waiting = [entry for entry in own if not (entry.get("retired") or entry.get("state") == "completed")]
        groups.append(
            {
                "name": str(name),
                "what": str(getattr(group, "group_desc", "") or ""),
                "ranks": sorted(world.pg_group_ranks.get(group, ())),
                "last": _said(own[-1]) if own else None,
                "waits": _said(waiting[0]) if waiting else None,
            }
        )
    return {"rank": c10d.get_rank(), "world_size": c10d.get_world_size(), "groups": groups}


def _entries():
    """The flight recorder, without stacks, which would take seconds: of NCCL, else of the other backends."""
    import pickle

    from torch._C import _distributed_c10d as torch

    for name in ("_dump_nccl_trace", "_dump_fr_trace"):
        dump = getattr(torch, name, None)
        if dump is not None:
            entries = pickle.loads(dump(True, False, False)).get("entries") or []
            if entries:
                return entries
    return []


def _said(entry):
    number = entry.get("p2p_seq_id") if entry.get("is_p2p") else entry.get("collective_seq_id")
    return {
        "number": int(number or 0),
        "name": str(entry.get("profiling_name", "")),
        "sizes": str(entry.get("input_sizes", ""))[:100],
        "p2p": bool(entry.get("is_p2p")),
    }
