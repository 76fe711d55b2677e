"""The flags of ``trainci lease`` and of ``gpu-lock-exec``."""

from __future__ import annotations

import argparse
import os
from functools import partial
from typing import NoReturn

from trainci.errors import UsageError
from trainci.lease import protocol
from trainci.lease.queue.priority import HEAD_START_S, PRIORITIES
from trainci.lease.store.records import FOREVER
from trainci.model.device import MOST_DEVICES
from trainci.text import guess, printable

LOCK_EXEC_PATTERN = "/dev/shm/custom_gpu_lock_{gpu_id}.lock"

_ABOUT_LEASE = (
    "Waits in the host's queue for GPUs, runs COMMAND with them, and ends everything that it started before the "
    "next in the queue gets them. Exits with the command's own code (128+n for signal n); 75 when the GPUs did not "
    "come in time; 2 for a request that can never be met."
)
_ABOUT_LOCK_EXEC = "The flags of the script that it replaces; the same lock files, in a fair queue."


class Options(argparse.Namespace):
    """A request as it was typed, as argparse fills it in. Durations are seconds; None where nothing was said.

    ``help`` is the text to print when it was asked for, else empty.
    """

    command: list[str]
    count: int | None
    devices: str | None
    timeout: float
    target_env_name: str
    lock_path_pattern: str
    total_gpus: int | None
    print_only: bool
    time_limit: float | None = None
    grace: float = 5.0
    name: str = ""
    priority: str = "normal"
    expected: float = FOREVER
    lock_dir: str | None = None
    devices_allowed: str | None = None
    virtual: int | None = None
    status_fd: int = -1
    help: str


def parse(arguments: list[str]) -> Options:
    """The options of ``trainci lease``.

    :raises UsageError: a flag that does not exist, or a value that makes no sense.
    """
    parser = _parser("trainci lease", _ABOUT_LEASE)
    add = parser.add_argument
    add(
        protocol.TIME_LIMIT,
        metavar="S",
        type=_positive_seconds,
        help="end the command after S seconds; lets it start in gaps of the queue",
    )
    add(
        protocol.GRACE,
        metavar="S",
        type=_seconds,
        default=5.0,
        help="between SIGTERM and SIGKILL, when the command is ended (5)",
    )
    # Of whatever bytes a name is made, it is shown and stored on one line.
    add(
        protocol.NAME,
        metavar="TEXT",
        type=printable,
        default="",
        help="how others see this request in `trainci gpus`",
    )
    add(
        "--priority",
        choices=PRIORITIES,
        default="normal",
        help=f"high: as if it had come {HEAD_START_S / 60:g} minutes earlier, low: later (normal)",
    )
    add(
        protocol.EXPECTED,
        metavar="S",
        type=_positive_seconds,
        default=FOREVER,
        help="how long the command is likely to take; shown in `trainci gpus`, and nothing else",
    )
    add(
        "--lock-dir",
        metavar="DIR",
        help="the directory of all who share the GPUs; else $TRAINCI_LOCK_DIR, /run/trainci, /dev/shm/trainci",
    )
    add(protocol.DEVICES_ALLOWED, metavar="LIST", help="choose among these only")
    add(
        protocol.VIRTUAL,
        metavar="N",
        type=_number_of_devices,
        help="lease N virtual CPU devices instead of GPUs",
    )
    add(
        protocol.STATUS_FD,
        metavar="FD",
        type=_descriptor,
        default=-1,
        help="write what happens to this descriptor, one JSON object a line; when its reader goes away, the "
        "command is ended",
    )
    options = _read(parser, arguments)
    if options.count is not None and options.devices is not None:
        raise UsageError("--count and --devices exclude each other.")
    return options


def parse_lock_exec(arguments: list[str]) -> Options:
    """The options of ``gpu-lock-exec``.

    :raises UsageError: as ``parse``.
    """
    parser = _parser("gpu-lock-exec", _ABOUT_LOCK_EXEC, 86400.0, 8, LOCK_EXEC_PATTERN)
    options = _read(parser, arguments)
    if options.devices is not None:
        # In the original, --devices wins over --count, and may name a GPU beyond --total-gpus.
        numbers = [int(part) for part in options.devices.split(",") if part.strip().isdecimal()]
        most = max([*(number + 1 for number in numbers), options.total_gpus or 0])
        options.count, options.total_gpus = None, most
        return options
    if options.count is None and not (options.print_only or options.help):
        raise UsageError("say how many GPUs with --count N, or which with --devices 0,3.")
    return options


class _Parser(argparse.ArgumentParser):
    """One whose complaints are ours to show."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{printable(message)}; see --help.")


def _parser(
    program: str, about: str, timeout: float = FOREVER, total_gpus: int | None = None, pattern: str = ""
) -> _Parser:
    """The flags that both commands have, with these defaults."""
    usage = f"{program} [--count N | --devices 0,3] [options] -- COMMAND…"
    # To check a flag argparse makes a formatter, which asks the terminal for its width unless it knows one.
    formatter = partial(argparse.HelpFormatter, width=80)
    parser = _Parser(program, usage, about, formatter_class=formatter, add_help=False, allow_abbrev=False)
    add = parser.add_argument
    add("-h", "--help", action="store_true", help="show this text")
    add(protocol.COUNT, metavar="N", type=_whole_number, help="how many GPUs, any free ones")
    add("--devices", metavar="LIST", help="exactly these: indices or UUIDs")
    add(
        "--timeout",
        metavar="S",
        type=_seconds,
        default=timeout,
        help=f"how long to wait for them ({'for ever' if timeout == FOREVER else f'{timeout:g}'})",
    )
    add(
        "--target-env-name",
        metavar="VAR",
        type=_variable_name,
        default="CUDA_VISIBLE_DEVICES",
        help="the variable that gets the devices (%(default)s)",
    )
    add(
        "--lock-path-pattern",
        metavar="P",
        type=_pattern,
        default=pattern,
        help="take these files' locks, too: a path with {gpu_id} in it" + (f" ({pattern})" if pattern else ""),
    )
    add(
        "--total-gpus",
        metavar="N",
        type=_number_of_devices,
        default=total_gpus,
        help="use the first N GPUs only; where there is no driver, how many there are"
        + (f" ({total_gpus})" if total_gpus else ""),
    )
    add("--print-only", action="store_true", help="print the free devices, and lease nothing")
    add("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _read(parser: _Parser, arguments: list[str]) -> Options:
    options = Options()
    _, unknown = parser.parse_known_args(arguments, options)
    if unknown:
        option = unknown[0].partition("=")[0]
        close = guess(option, (word for word in parser.format_help().split() if word.startswith("--")))
        raise UsageError(f"there is no option {printable(option)}.{close} See --help.")
    if options.command[:1] == ["--"]:
        # It belongs to what argparse takes for the command.
        del options.command[0]
    if not (options.command or options.print_only or options.help):
        parser.error("there is no command to run: put it after `--`")
    parser.formatter_class = argparse.HelpFormatter
    options.help = parser.format_help() if options.help else ""
    return options


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!a} is not a whole number") from None


def _number_of_devices(text: str) -> int:
    number = _whole_number(text)
    if not 1 <= number <= MOST_DEVICES:
        raise argparse.ArgumentTypeError(f"{number}: a host has 1 to {MOST_DEVICES} devices")
    return number


def _descriptor(text: str) -> int:
    number = _whole_number(text)
    try:
        os.write(number, b"")
    except (OSError, OverflowError):
        raise argparse.ArgumentTypeError(f"{number}: nothing can be written to it") from None
    return number


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!a} is not a number of seconds") from None
    if not 0 <= seconds <= 1e9:
        raise argparse.ArgumentTypeError(f"{text!a}: that many seconds make no sense here")
    return seconds


def _positive_seconds(text: str) -> float:
    seconds = _seconds(text)
    if seconds == 0:
        raise argparse.ArgumentTypeError("no time at all makes no sense here")
    return seconds


def _pattern(text: str) -> str:
    if text and "{gpu_id}" not in text:
        raise argparse.ArgumentTypeError("it needs {gpu_id} in it, where the GPU's number goes")
    folder = os.path.dirname(os.path.abspath(text))
    if text and not os.path.isdir(folder):
        raise argparse.ArgumentTypeError(f"there is no directory {folder}")
    return text


def _variable_name(text: str) -> str:
    if not text or "=" in text:
        raise argparse.ArgumentTypeError(f"{text!a}: no variable can be called that")
    return text
