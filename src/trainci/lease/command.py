"""``trainci lease`` and ``gpu-lock-exec``: from the flags to the command's exit code."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from trainci.errors import EXIT_MACHINE, EXIT_OK, MachineError, TrainciError, UsageError
from trainci.host.files import is_nowhere
from trainci.host.processes import SignalPipe
from trainci.host.virtual import virtual_devices
from trainci.host.visible import inherited, refuse_contradiction, visible
from trainci.lease.options import Options, parse, parse_lock_exec
from trainci.lease.protocol import DEADLINE_VARIABLE, outer_lease
from trainci.lease.queue.acquire import Gate, StoppedWaiting, TooLate, Waiter
from trainci.lease.queue.cycle import is_taken
from trainci.lease.queue.hold import Lease
from trainci.lease.reporter import LOCK_EXEC, Reporter
from trainci.lease.store.directory import FULL, UNFIT, Directory, open_directory, open_nested
from trainci.lease.store.leases import Running, find, running
from trainci.lease.store.records import FOREVER, Request
from trainci.lease.supervise.environment import job_variables, pick
from trainci.lease.supervise.supervisor import ENDING_SIGNALS, Job
from trainci.lease.supervise.wrapper import Wrapper
from trainci.model.device import MOST_DEVICES, UNREACHABLE, Device
from trainci.streams import make_reliable
from trainci.text import printable

EXIT_TOO_LATE = 75
# The bound that others plan with: after the grace period, ending a job and looking at its devices takes a moment.
_ENDING_S = 1.0
_NOTHING: Mapping[str, str] = MappingProxyType({})


def main(arguments: list[str]) -> int:
    """``trainci lease``; returns the exit code, or, once a command has run, ends this process with it."""
    return _guarded("trainci lease", arguments, parse, least=1)


def internal_main(arguments: list[str], variables: Mapping[str, str] = _NOTHING) -> int:
    """For executors: as ``trainci lease``, and a job may ask for no device at all. It gets ``variables``, too."""
    return _guarded("trainci lease", arguments, parse, least=0, variables=variables)


def gpu_lock_exec() -> int:
    """``gpu-lock-exec``: the flags, defaults and lock files of the script that it replaces."""
    make_reliable()
    return _guarded(LOCK_EXEC, sys.argv[1:], parse_lock_exec, least=1)


def _guarded(
    program: str,
    arguments: list[str],
    parser: Callable[[list[str]], Options],
    least: int,
    variables: Mapping[str, str] = _NOTHING,
) -> int:
    try:
        options = parser(arguments)
        if options.help:
            sys.stdout.write(options.help)
            return EXIT_OK
        return _lease(program, options, least, variables)
    except TrainciError as error:
        sys.stderr.write(f"{program}: {error}\n")
        return error.exit_code
    except OSError as error:
        if error.errno in FULL:
            sys.stderr.write(
                f"{program}: the file system of the lock directory is full ({error.strerror}); nothing was leased:"
                " make room, or use another --lock-dir for all.\n"
            )
            return EXIT_MACHINE
        way = (
            " It needs a file system of this host: use another --lock-dir for all." if error.errno in UNFIT else ""
        )
        what = error.filename or ("the current directory" if is_nowhere() else "the lock directory")
        sys.stderr.write(f"{program}: {printable(str(what))}: {error.strerror}.{way}\n")
        return EXIT_MACHINE


def _lease(program: str, options: Options, least: int, variables: Mapping[str, str]) -> int:
    wanted = 1 if options.count is None else options.count
    directory = open_directory(options.lock_dir, may_be_private=options.virtual is not None or not wanted)
    if options.priority == "high":
        # Like the ledger below: what few leases need, no other waits for.
        from trainci.lease.store.settings import refuse_urgency

        refuse_urgency(directory)
    outer = _outer(directory) if wanted else None
    devices = _devices(directory, options, outer) if wanted or options.print_only else ()
    if outer is not None:
        # Those who share what it holds take turns in a queue of their own.
        directory = open_nested(directory, outer.record.id)
    if options.print_only:
        return _print_free(directory, devices, options.lock_path_pattern)
    count = wanted if options.devices is None else len(devices)
    devices = _reachable(devices, count)
    _refuse_impossible(devices, count, least, "" if options.virtual is not None else options.target_env_name, outer)
    request = _request(options, count, devices)
    reporter = Reporter(program, options.status_fd, request)
    pipe = SignalPipe((*ENDING_SIGNALS, signal.SIGCHLD))
    job = Job(
        directory,
        request,
        options.command,
        partial(_variables, options, {**os.environ, **variables}),
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
        # Within a lease the job that we are part of may use them at any time.
        _gate(devices) if outer is None else None,
        options.grace,
        options.status_fd,
    )
    try:
        lease = waiter.acquire(options.timeout)
    except TooLate:
        wrapper.dismiss()
        reporter.too_late(options.timeout)
        return EXIT_TOO_LATE
    except StoppedWaiting as stopped:
        from trainci.lease.store.ledger import cancelled_by

        wrapper.dismiss()
        reporter.stopped(cancelled_by(directory, request.id))
        return 128 + (stopped.signal or signal.SIGHUP)
    return _run(lease, wrapper, waiter, reporter)


def _run(lease: Lease, wrapper: Wrapper, waiter: Waiter, reporter: Reporter) -> int:
    def started(pid: int) -> None:
        reporter.started(pid)
        waiter.end_watcher()

    try:
        lease.take_ports()
    except BaseException:
        wrapper.dismiss()
        lease.hand_over()
        raise
    reporter.granted(lease)
    ended, code = wrapper.run(lease, started)
    reporter.ended(ended)
    # Nothing is left to be finalised, and Python would take a tenth of the wrapper's life for it.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _outer(directory: Directory) -> Running | None:
    """The lease that this command runs inside, where it is one of this lock directory."""
    inherited = outer_lease(os.environ)
    found = find(directory, inherited[0]) if inherited else None
    return found if found is not None and found.watched and found.owner in (0, os.geteuid()) else None


def _devices(directory: Directory, options: Options, outer: Running | None = None) -> tuple[Device, ...]:
    """The devices that the request may be given."""
    if options.virtual is not None:
        devices = virtual_devices(MOST_DEVICES if outer else options.virtual)
    else:
        name = options.target_env_name
        refuse_contradiction(name, os.environ)
        from trainci.lease.store.inventory import gpus

        devices = visible(gpus(directory, options.total_gpus), inherited(name, os.environ), name)
    if outer is not None:
        devices = tuple(device for device in devices if device.uuid in outer.record.devices)
        devices = devices if options.virtual is None else devices[: options.virtual]
    try:
        if options.devices_allowed is not None:
            devices = pick(devices, options.devices_allowed)
        return devices if options.devices is None else pick(devices, options.devices)
    except UsageError as error:
        raise UsageError(f"{error}{_inside(outer)}") from None


def _inside(outer: Running | None) -> str:
    if outer is None:
        return ""
    held = ", ".join(outer.record.devices) or "no device"
    return f" This command runs inside lease {outer.record.id}, which holds {held}."


def _reachable(devices: tuple[Device, ...], count: int) -> tuple[Device, ...]:
    """Those that NVML reaches: of the others it cannot be known whether they are fit, or which they are."""
    found = tuple(device for device in devices if not device.uuid.startswith(UNREACHABLE))
    if len(found) < count <= len(devices):
        lost = ", ".join(str(device.index) for device in devices if device not in found)
        raise MachineError(
            f"NVML cannot reach device {lost}, so {count} devices cannot be had (see `trainci gpus`)."
        )
    return found


def _print_free(directory: Directory, devices: tuple[Device, ...], pattern: str) -> int:
    held = {uuid for lease in running(directory) for uuid in lease.record.devices}
    free = [device for device in devices if device.uuid not in held and not is_taken(directory, device, pattern)]
    sys.stdout.write(f"Free GPUs: {','.join(str(device.index) for device in free)}\n")
    return EXIT_OK


def _refuse_impossible(
    devices: tuple[Device, ...], count: int, least: int, variable: str, outer: Running | None
) -> None:
    if count < least:
        raise UsageError(f"--count {count}: ask for at least {least}.")
    if count > len(devices):
        hidden = f" ({variable}={os.environ[variable]!a} is obeyed)" if variable in os.environ else ""
        raise UsageError(
            f"{count} devices can never be had: {len(devices)} can be used here{hidden}.{_inside(outer)}"
        )
    inherited = outer_lease(os.environ)
    if inherited is None or outer is not None:
        return
    id, held = inherited
    gone = [device for device in devices if device.uuid.startswith(("GPU-", "MIG-")) and device.uuid in held]
    if len(devices) - len(gone) < count:
        raise UsageError(
            f"this command runs inside lease {id} of another lock directory, which holds what is asked "
            "for here: it can never come. Ask in that directory."
        )


def _request(options: Options, count: int, devices: tuple[Device, ...]) -> Request:
    return Request(
        os.urandom(6).hex(),
        count,
        devices,
        FOREVER if options.time_limit is None else options.time_limit + options.grace + _ENDING_S,
        options.lock_path_pattern,
        printable(options.name or " ".join(options.command)[:80]),
        os.getuid(),
        os.getpid(),
        time.time(),
        options.priority,
        options.expected,
    )


def _gate(devices: tuple[Device, ...]) -> Gate | None:
    """What a lease of these devices has to pass; None where there is no driver to ask."""
    if not _known_to_nvml(devices):
        return None
    from trainci.lease.queue.gate import passes
    from trainci.lease.store.health import nvml_probe

    return partial(passes, nvml_probe())


def _known_to_nvml(devices: tuple[Device, ...]) -> bool:
    return any(device.uuid.startswith(("GPU-", "MIG-")) for device in devices)


def _variables(options: Options, parent: Mapping[str, str], lease: Lease) -> dict[str, str]:
    before = parent.get(options.target_env_name, "")
    by_number = all(entry.strip().isdecimal() for entry in before.split(",") if entry.strip())
    # With MIG, positions in NVML's list are not what CUDA counts.
    by_uuid = not by_number or any(device.uuid.startswith("MIG-") for device in lease.devices)
    hidden = options.virtual is not None or not lease.devices
    found = job_variables(lease, options.target_env_name, by_uuid, hidden, parent)
    if options.time_limit is not None:
        found[DEADLINE_VARIABLE] = f"{time.monotonic() + options.time_limit:.3f}"
    return found
