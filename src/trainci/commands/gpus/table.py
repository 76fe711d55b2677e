"""What ``trainci gpus`` prints: a table of the devices, and one of the queue."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trainci.answers.gpus import DeviceStatus, Holder, Status, Waiting
from trainci.lease.queue.why import clock
from trainci.text import columns, counted, printable

_GIB = 1 << 30
_INDENT = "     "


@dataclass(frozen=True)
class _Row:
    """Short cells, then the one that may be long, and what is told below it."""

    cells: tuple[str, ...]
    long: str
    below: str = ""


def lines(seen: Status, virtual: bool, width: int | None) -> list[str]:
    """The tables, for a terminal of ``width`` columns (None: for no terminal, where nothing is folded).

    Virtual devices, and requests for them, are left out unless ``virtual``.
    """
    devices = [device for device in seen.devices if virtual or not _is_virtual(device.uuid)]
    waiting = [request for request in seen.waiting if virtual or not request.virtual]
    if not devices:
        hidden = len(seen.devices)
        more = f" `--virtual` shows {counted(hidden, 'virtual device')}." if hidden else ""
        return [f"no GPU on this host, and none was ever leased here.{more}"]
    names = {device.name for device in devices if device.name}
    title = [f"{len(devices)} × {printable(*names)}"] if len(names) == 1 else []
    shown = [*title, *_table(_DEVICES, [_device_row(device, len(names) > 1) for device in devices], width)]
    if waiting:
        shown += ["", *_table(_QUEUE, [_queue_row(request) for request in waiting], width)]
    return shown


_DEVICES = (
    "GPU",
    "NAME",
    "MEMORY GiB",
    "UTIL",
    "STATE",
    "SINCE",
    "UNTIL",
    "ABOUT",
    "USER",
    "PID",
    "WHO, OR WHY NOT",
)
_QUEUE = ("PLACE", "WANTS", "SINCE", "ABOUT", "BY", "PRIORITY", "USER", "PID", "REQUEST", "FOR")


def _table(header: Sequence[str], rows: Sequence[_Row], width: int | None) -> list[str]:
    """Columns that are empty in every row are left out; what does not fit goes below its row."""
    used = [number for number in range(len(header) - 1) if any(row.cells[number] for row in rows)]
    moved: list[int] = []
    begins = _begins(header, rows, used)
    while width is not None and max(map(len, begins)) > width and len(used) > 1:
        moved.insert(0, used.pop())
        begins = _begins(header, rows, used)
    size = max(map(len, begins)) + 2
    room = None if width is None else width - size
    printed = [begins[0] if room is not None and room < len(header[-1]) else f"{begins[0]:<{size}}{header[-1]}"]
    for begin, row in zip(begins[1:], rows, strict=True):
        fits = not moved and (room is None or len(row.long) <= room)
        printed.append(f"{begin:<{size}}{row.long}".rstrip() if fits else begin)
        named = [f"{header[number].lower()} {row.cells[number]}" for number in moved if row.cells[number]]
        moved_below = "" if fits else ": ".join(filter(None, [", ".join(named), row.long]))
        for text in filter(None, (moved_below, row.below)):
            printed += _folded(text, width)
    return printed


def _begins(header: Sequence[str], rows: Sequence[_Row], used: Sequence[int]) -> list[str]:
    cells = [[header[number] for number in used], *([row.cells[number] for number in used] for row in rows)]
    return columns([(*line, "") for line in cells], right=[header[number] in _NUMBERS for number in used])


_NUMBERS = ("GPU", "MEMORY GiB", "UTIL", "PLACE", "WANTS", "PID")


def _folded(text: str, width: int | None) -> Iterable[str]:
    if width is None:
        return [_INDENT + text]
    # Not at a hyphen, which may be that of a name that somebody copies.
    return textwrap.wrap(
        text,
        max(20, width),
        initial_indent=_INDENT,
        subsequent_indent=_INDENT + "  ",
        break_on_hyphens=False,
    )


def _device_row(device: DeviceStatus, with_name: bool) -> _Row:
    holder = device.holder
    cells = (
        str(device.index),
        printable(device.name) if with_name else "",
        _memory(device),
        "" if device.usage.utilization is None else f"{device.usage.utilization}%",
        device.state,
        "" if device.since is None else clock(device.since),
        "" if holder is None else _until(holder),
        "" if holder is None or holder.expected is None else clock(holder.expected),
        holder.user if holder else "",
        _pid(holder.pid, holder.host_pid) if holder else "",
    )
    return _Row(cells, _who(device))


def _who(device: DeviceStatus) -> str:
    """Who holds it; else why it is not handed out, and the way out."""
    by = f" by {device.by}" if device.by else ""
    if device.state == "draining":
        return f"{device.holder.name if device.holder else ''}; then not handed out{by}: {device.reason}"
    if device.holder is not None:
        return device.holder.name
    if device.state == "quarantined":
        return f"{device.reason}{by}; `trainci gpus --release {device.index}` clears it"
    if device.state == "drained":
        return f"{device.reason}{by}; `trainci gpus --undrain {device.index}` hands it out again"
    return device.reason


def _queue_row(request: Waiting) -> _Row:
    cells = (
        str(request.place),
        str(request.count),
        clock(request.since),
        "unknown" if request.expected_start is None else clock(request.expected_start),
        "unknown" if request.latest_start is None else clock(request.latest_start),
        "" if request.priority == "normal" else request.priority,
        request.user,
        _pid(request.pid, request.host_pid),
        request.request,
    )
    return _Row(cells, request.name, f"waits: {request.why}" if request.why else "")


def _memory(device: DeviceStatus) -> str:
    used, total = device.usage.memory_used, device.usage.memory_total
    if used is None:
        return ""
    return f"{used / _GIB:.1f}/{total / _GIB:.1f}" if total else f"{used / _GIB:.1f}"


def _until(holder: Holder) -> str:
    return "no limit" if holder.until is None else clock(holder.until)


def _pid(own: int, here: int | None) -> str:
    """Its number here; in brackets that of a container, where its process cannot be seen."""
    return f"({own})" if here is None else str(here)


def _is_virtual(uuid: str) -> bool:
    return uuid.startswith("cpu-")
