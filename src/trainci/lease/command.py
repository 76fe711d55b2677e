"""``trainci lease`` and ``gpu-lock-exec``: from the flags to the command's exit code.

What is imported here is on the path of every hand-over of a device; see tests/lease/test_light.py.
"""

from __future__ import annotations

import os
import sys
import time

from trainci.errors import EXIT_MACHINE, EXIT_OK, TrainciError, UsageError
from trainci.host.processes import SignalPipe
from trainci.host.visible import visible
from trainci.lease.options import LOCK_EXEC_USAGE, USAGE, Options, parse, parse_lock_exec
from trainci.lease.queue.acquire import StoppedWaiting, TooLate, Waiter
from trainci.lease.queue.cycle import lock_paths
from trainci.lease.queue.hold import MARKER, Lease
from trainci.lease.reporter import LOCK_EXEC, Reporter
from trainci.lease.store.directory import Directory, open_directory
from trainci.lease.store.health import nvml_probe
from trainci.lease.store.inventory import gpus, virtual
from trainci.lease.store.locks import is_held
from trainci.lease.store.records import Place, Request
from trainci.lease.supervise.environment import job_variables, pick
from trainci.lease.supervise.supervisor import ENDING_SIGNALS, Job
from trainci.lease.supervise.wrapper import Wrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
else:
    import _signal as signal

EXIT_TOO_LATE = 75
# The bound that others plan with: besides the grace period, ending a job and looking at its devices takes a moment.
_ENDING_S = 1.0


def main(arguments: list[str]) -> int:
    """``trainci lease``; returns the exit code, or, once a command has run, ends this process with it."""
    return _guarded("trainci lease", arguments, parse, USAGE, least=1)


def internal_main(arguments: list[str]) -> int:
    """``python -m trainci.lease``, for executors: as ``trainci lease``, and a job may ask for no device at all."""
    return _guarded("trainci lease", arguments, parse, USAGE, least=0)


def gpu_lock_exec() -> int:
    """``gpu-lock-exec``: the flags, defaults and lock files of the script that it replaces."""
    return _guarded(LOCK_EXEC, sys.argv[1:], parse_lock_exec, LOCK_EXEC_USAGE, least=1)


def _guarded(
    program: str, arguments: list[str], parser: Callable[[list[str]], Options], usage: str, least: int
) -> int:
    try:
        options = parser(arguments)
        if options.help:
            sys.stdout.write(usage)
            return EXIT_OK
        return _lease(program, options, least)
    except TrainciError as error:
        sys.stderr.write(f"{program}: {error}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"{program}: {error.filename or 'the lock directory'}: {error.strerror}.\n")
        return EXIT_MACHINE


def _lease(program: str, options: Options, least: int) -> int:
    wanted = 1 if options.count is None else options.count
    directory = open_directory(options.lock_dir, may_be_private=options.virtual is not None or not wanted)
    places = _places(directory, options) if wanted or options.print_only else ()
    if options.print_only:
        return _print_free(directory, places, options.lock_path_pattern)
    count = wanted if options.devices is None else len(places)
    _refuse_impossible(places, count, least, "" if options.virtual is not None else options.target_env_name)
    reporter = Reporter(program, options.status_fd, count)
    pipe = SignalPipe((*ENDING_SIGNALS, signal.SIGCHLD))
    request = _request(options, count, places)
    job = Job(
        directory,
        request,
        options.command,
        lambda lease: _variables(options, lease),
        options.time_limit,
        options.grace,
    )
    wrapper = Wrapper(job, pipe, options.status_fd)
    waiter = Waiter(
        directory,
        request,
        pipe,
        reporter.waiting,
        wrapper.prepare,
        nvml_probe() if _known_to_nvml(places) else None,
        options.grace,
        options.status_fd,
    )
    try:
        lease = waiter.acquire(options.timeout)
    except TooLate:
        wrapper.dismiss()
        reporter.say(f"the {count} devices did not come within {options.timeout:g} s.")
        return EXIT_TOO_LATE
    except StoppedWaiting as stopped:
        wrapper.dismiss()
        return 128 + (stopped.signal or signal.SIGHUP)
    return _run(lease, wrapper, reporter)


def _run(lease: Lease, wrapper: Wrapper, reporter: Reporter) -> int:
    try:
        lease.take_ports()
    except BaseException:
        wrapper.dismiss()
        lease.let_go()
        raise
    reporter.granted(lease)
    outcome = wrapper.run(lease, reporter.started)
    reporter.ended(outcome)
    # Nothing is left to be finalised, and Python would take a tenth of the wrapper's life for it.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(outcome.exit_code)


def _places(directory: Directory, options: Options) -> tuple[Place, ...]:
    """The devices that the request may be given."""
    if options.virtual is not None:
        places = virtual(options.virtual)
    else:
        name = options.target_env_name
        places = visible(gpus(directory, options.total_gpus), os.environ.get(name), name)
    if options.devices_allowed is not None:
        places = pick(places, options.devices_allowed)
    return places if options.devices is None else pick(places, options.devices)


def _print_free(directory: Directory, places: tuple[Place, ...], pattern: str) -> int:
    free = [place for place in places if not any(map(is_held, lock_paths(directory, place, pattern)))]
    sys.stdout.write(f"Free GPUs: {','.join(str(place.index) for place in free)}\n")
    return EXIT_OK


def _refuse_impossible(places: tuple[Place, ...], count: int, least: int, variable: str) -> None:
    if count < least:
        raise UsageError(f"--count {count}: ask for at least {least}.")
    if count > len(places):
        hidden = f" ({variable}={os.environ[variable]!a} is obeyed)" if variable in os.environ else ""
        raise UsageError(f"{count} devices can never be had: {len(places)} can be used here{hidden}.")
    outer = os.environ.get(MARKER)
    held = os.environ.get("TRAINCI_DEVICES", "").split(",") if outer else []
    if len([place for place in places if place.uuid not in held]) < count:
        raise UsageError(
            f"this command already runs inside lease {outer}, which holds devices that are asked for here: they "
            "can never come. Use those that $TRAINCI_DEVICES names."
        )


def _request(options: Options, count: int, places: tuple[Place, ...]) -> Request:
    name = options.name or " ".join(options.command)[:80]
    return Request(
        os.urandom(6).hex(),
        count,
        places,
        None if options.time_limit is None else options.time_limit + options.grace + _ENDING_S,
        options.lock_path_pattern,
        "".join(ch if ch.isprintable() else ascii(ch)[1:-1] for ch in name),
        os.getuid(),
        os.getpid(),
        time.time(),
    )


def _known_to_nvml(places: tuple[Place, ...]) -> bool:
    return any(place.uuid.startswith(("GPU-", "MIG-")) for place in places)


def _variables(options: Options, lease: Lease) -> dict[str, str]:
    before = os.environ.get(options.target_env_name, "")
    by_number = all(entry.strip().isdecimal() for entry in before.split(",") if entry.strip())
    # With MIG, positions in NVML's list are not what CUDA counts.
    by_uuid = not by_number or any(place.uuid.startswith("MIG-") for place in lease.places)
    return job_variables(
        lease, options.target_env_name, by_uuid, options.virtual is not None or not lease.places, dict(os.environ)
    )
