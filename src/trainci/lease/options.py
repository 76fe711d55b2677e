"""The flags of ``trainci lease`` and ``gpu-lock-exec``, read by hand: argparse alone would cost 10 ms a lease."""

from __future__ import annotations

import os

from trainci.errors import UsageError
from trainci.lease.store.records import FOREVER
from trainci.model import MOST_DEVICES

USAGE = """\
Usage: trainci lease [--count N | --devices 0,3] [options] -- COMMAND…

Waits in the host's queue for GPUs, runs COMMAND with them, and ends everything that
it started before the next in the queue gets them. Exits with the command's own code
(128+n for signal n); 75 when the GPUs did not come in time; 2 for a request that can
never be met.

  --count N              how many GPUs (1)
  --devices LIST         exactly these: indices or UUIDs
  --timeout S            how long to wait for them (for ever)
  --time-limit S         end the command after S seconds; lets it start in gaps of the queue
  --grace S              between SIGTERM and SIGKILL, when the command is ended (5)
  --name TEXT            how others see this request in `trainci gpus`
  --lock-dir DIR         the directory that all who share the GPUs share ($TRAINCI_LOCK_DIR,
                         else /dev/shm/trainci)
  --lock-path-pattern P  take these files' locks, too: a path with {gpu_id} in it
  --target-env-name VAR  the variable that gets the devices (CUDA_VISIBLE_DEVICES)
  --total-gpus N         use the first N GPUs only; where there is no driver, how many there are
  --devices-allowed LIST choose among these only
  --virtual N            lease N virtual CPU devices instead of GPUs
  --status-fd FD         write what happens to this descriptor, one JSON object a line;
                         when its reader goes away, the command is ended
  --print-only           print the free devices, and lease nothing
"""

LOCK_EXEC_USAGE = """\
Usage: gpu-lock-exec (--count N | --devices 0,3) [options] -- COMMAND…

The flags of the script that it replaces; the same lock files, in a fair queue.

  --count N              how many GPUs, any free ones
  --devices LIST         exactly these
  --total-gpus N         GPUs of this host (8)
  --timeout S            how long to wait for them (86400)
  --target-env-name VAR  the variable that gets the devices (CUDA_VISIBLE_DEVICES)
  --lock-path-pattern P  lock files (/dev/shm/custom_gpu_lock_{gpu_id}.lock)
  --print-only           print the free devices, and lease nothing
"""

LOCK_EXEC_PATTERN = "/dev/shm/custom_gpu_lock_{gpu_id}.lock"


class Options:
    """A request as it was typed. Durations are seconds; None where nothing was said."""

    def __init__(self) -> None:
        self.count: int | None = None
        self.devices: str | None = None
        self.timeout = FOREVER
        self.time_limit: float | None = None
        self.grace = 5.0
        self.name = ""
        self.lock_dir: str | None = None
        self.lock_path_pattern = ""
        self.target_env_name = "CUDA_VISIBLE_DEVICES"
        self.total_gpus: int | None = None
        self.devices_allowed: str | None = None
        self.virtual: int | None = None
        self.status_fd = -1
        self.print_only = False
        self.help = False
        self.command: list[str] = []


_LOCK_EXEC_FLAGS = ("count", "devices", "total_gpus", "timeout", "target_env_name", "lock_path_pattern")


def parse(arguments: list[str]) -> Options:
    """The options of ``trainci lease``.

    :raises UsageError: a flag that does not exist, or a value that makes no sense.
    """
    options = Options()
    names = [name for name in vars(options) if name not in ("print_only", "help", "command")]
    _read(options, arguments, names)
    if options.count is not None and options.devices is not None:
        raise UsageError("--count and --devices exclude each other.")
    if options.status_fd >= 0:
        try:
            os.write(options.status_fd, b"")
        except OSError:
            raise UsageError(f"--status-fd {options.status_fd}: nothing can be written to it.") from None
    return options


def parse_lock_exec(arguments: list[str]) -> Options:
    """The options of ``gpu-lock-exec``.

    :raises UsageError: as ``parse``.
    """
    options = Options()
    options.total_gpus = 8
    options.timeout = 86400.0
    options.lock_path_pattern = LOCK_EXEC_PATTERN
    _read(options, arguments, _LOCK_EXEC_FLAGS)
    if options.devices is not None:
        # In the original, --devices wins over --count, and may name a GPU beyond --total-gpus.
        options.count = None
        numbers = [int(part) for part in options.devices.split(",") if part.strip().isdecimal()]
        options.total_gpus = max([*(number + 1 for number in numbers), options.total_gpus])
    elif options.count is None and not (options.print_only or options.help):
        raise UsageError("say how many GPUs with --count N, or which with --devices 0,3.")
    return options


def _read(options: Options, arguments: list[str], names: list[str] | tuple[str, ...]) -> None:
    left = list(arguments)
    while left:
        word = left.pop(0)
        if word == "--":
            options.command = left
            break
        if not word.startswith("-"):
            options.command = [word, *left]
            break
        if word in ("-h", "--help"):
            options.help = True
            continue
        if word == "--print-only":
            options.print_only = True
            continue
        flag, equals, value = word.partition("=")
        name = flag[2:].replace("-", "_")
        if not flag.startswith("--") or name not in names:
            raise UsageError(f"there is no option {flag}; see --help.")
        if not equals:
            if not left:
                raise UsageError(f"{flag} needs a value.")
            value = left.pop(0)
        setattr(options, name, _value(flag, name, value))
    _refuse_senseless(options)
    if not (options.command or options.print_only or options.help):
        raise UsageError("there is no command to run: put it after `--`.")


def _refuse_senseless(options: Options) -> None:
    pattern = options.lock_path_pattern
    if pattern and "{gpu_id}" not in pattern:
        raise UsageError("--lock-path-pattern needs {gpu_id} in it, where the GPU's number goes.")
    folder = os.path.dirname(os.path.abspath(pattern))
    if pattern and not os.path.isdir(folder):
        raise UsageError(f"--lock-path-pattern: there is no directory {folder}.")
    if not options.target_env_name or "=" in options.target_env_name:
        raise UsageError(f"--target-env-name {options.target_env_name!a}: no variable can be called that.")
    for flag, number in (("--virtual", options.virtual), ("--total-gpus", options.total_gpus)):
        if number is not None and not 1 <= number <= MOST_DEVICES:
            raise UsageError(f"{flag} {number}: a host has 1 to {MOST_DEVICES} devices.")


def _value(flag: str, name: str, text: str) -> object:
    if name in ("count", "total_gpus", "virtual", "status_fd"):
        return _number(flag, text, int, "a whole number")
    if name in ("timeout", "time_limit", "grace"):
        seconds = _number(flag, text, float, "seconds")
        if not 0 <= seconds <= 1e9 or (name == "time_limit" and seconds == 0):
            raise UsageError(f"{flag} {text!a}: that many seconds make no sense here.")
        return seconds
    # Of whatever bytes a name is made, it is shown and stored on one line.
    return "".join(ch if ch.isprintable() else ascii(ch)[1:-1] for ch in text) if name == "name" else text


def _number(flag: str, text: str, kind: type[int] | type[float], what: str) -> int | float:
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"{flag} {text!a}: that is not {what}.") from None
