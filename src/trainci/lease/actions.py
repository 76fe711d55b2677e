"""What a maintainer does by hand: drains and quarantines devices, clears that, ends a request that waits.

Whoever may write the lock directory may do it; each action is in the ledger, with who did it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence

from trainci.answers.gpus import DeviceStatus, Waiting
from trainci.errors import MachineError, UsageError
from trainci.lease.queue.cycle import ring_watcher
from trainci.lease.queue.tickets import look
from trainci.lease.store import ledger, marks
from trainci.lease.store.directory import Directory, open_directory
from trainci.text import listed, printable

ALL = "all"
# By the action that clears it: what a mark is called, and the devices that have it.
_MARKED = {"undrain": ("drained", marks.drained), "release": ("quarantined", marks.quarantined)}


class Maintainer:
    """Acts on a lock directory, for the user of this process.

    :raises UsageError: the directory cannot be used.
    """

    def __init__(self, lock_dir: str | None, environment: Mapping[str, str]) -> None:
        self._directory: Directory = open_directory(lock_dir, may_be_private=True)
        self._by = ledger.whoever_acts(environment)

    def drain(self, uuid: str, reason: str) -> str:
        """Do not hand a device out again; its holder keeps it. A sentence that says so."""
        marks.drain(self._directory, uuid, reason or "no reason given", time.time(), self._by)
        return self._done("drain", uuid, reason, "is not handed out any more; who holds it keeps it")

    def undrain(self, uuid: str, reason: str) -> str:
        """Hand a drained device out again.

        :raises UsageError: it was not drained.
        """
        self._clear(uuid, marks.undrain, "drained")
        return self._done("undrain", uuid, reason, self._after(uuid, "release"))

    def quarantine(self, uuid: str, reason: str) -> str:
        """Mark a device as broken."""
        marks.quarantine(self._directory, uuid, reason or "no reason given", time.time(), self._by)
        return self._done("quarantine", uuid, reason, f"is quarantined; `trainci gpus --release {uuid}` clears it")

    def release(self, uuid: str, reason: str) -> str:
        """Clear a quarantine.

        :raises UsageError: there was none.
        """
        self._clear(uuid, marks.release, "quarantined")
        return self._done("release", uuid, reason, self._after(uuid, "undrain"))

    def concerned(self, action: str, uuids: Sequence[str]) -> list[str]:
        """Those of all devices that an action is about: of the two that clear a mark, those that have it.

        :raises UsageError: none has.
        """
        marked = _MARKED.get(action)
        if marked is None:
            return list(uuids)
        state, look_up = marked
        found = [uuid for uuid in uuids if uuid in look_up(self._directory)]
        if not found:
            raise UsageError(f"no device is {state}. `trainci gpus` shows what is.")
        return found

    def _after(self, uuid: str, other: str) -> str:
        """How it stands with a device of which one of two marks was cleared; ``other`` is what clears the other."""
        state, look_up = _MARKED[other]
        if uuid not in look_up(self._directory):
            return "may be leased again"
        return f"is {state} still; `trainci gpus --{other} {uuid}` hands it out again"

    def _clear(self, uuid: str, clear: Callable[[Directory, str], bool], state: str) -> None:
        if not clear(self._directory, uuid):
            raise UsageError(f"{printable(uuid)} is not {state}. `trainci gpus` shows what is.")

    def cancel(self, request: Waiting, reason: str) -> str:
        """End a request that waits, as its user or as root: by SIGTERM to its process.

        :raises MachineError: its process cannot be seen from here.
        :raises UsageError: it is another user's.
        """
        if request.host_pid is None:
            raise MachineError(
                f"request {request.request} is that of process {request.pid} of another container, which cannot be "
                "seen from here. Cancel it on the host."
            )
        try:
            process = os.pidfd_open(request.host_pid)
        except ProcessLookupError:
            return self._gone(request)
        try:
            # Its ticket is locked still, so it is the process that we have opened.
            if not any(arrival.request.id == request.request for arrival in look(self._directory)):
                return self._gone(request)
            # To see whether we may, before it is written down that we did; and that before it ends and reads it.
            signal.pidfd_send_signal(process, 0)
            self._note("cancel", request.request, reason)
            signal.pidfd_send_signal(process, signal.SIGTERM)
        except PermissionError:
            raise UsageError(f"request {request.request} is user {request.user}'s. Cancel it as root.") from None
        except ProcessLookupError:
            return self._gone(request)
        finally:
            os.close(process)
        return f"request {request.request} ({request.name}) is cancelled."

    def _gone(self, request: Waiting) -> str:
        return f"request {request.request} ({request.name}) does not wait any more."

    def _done(self, action: str, uuid: str, reason: str, said: str) -> str:
        self._note(action, uuid, reason)
        ring_watcher(self._directory)
        return f"{printable(uuid)} {said}."

    def _note(self, action: str, what: str, reason: str) -> None:
        ledger.note(self._directory, ledger.Entry(time.time(), self._by, action, what, reason))


def device_named(name: str, devices: Sequence[DeviceStatus]) -> list[str]:
    """The ids of the device that a number, a UUID or the beginning of one names; of each of them for ``all``.

    :raises UsageError: there is none of that name, or more than one.
    """
    if name == ALL and devices:
        return [device.uuid for device in devices]
    exact = [device.uuid for device in devices if name in (str(device.index), device.uuid)]
    found = exact or [device.uuid for device in devices if name and device.uuid.startswith(name)]
    if len(found) == 1:
        return found
    there = listed([f"{device.index} ({device.uuid})" for device in devices], 16) or "none"
    what = "more than one device" if found else "no device"
    raise UsageError(f"{printable(name) or 'an empty name'}: {what} of this host is called so; there are {there}.")


def request_named(name: str, waiting: Sequence[Waiting]) -> Waiting:
    """The request that its id, or the beginning of it, names.

    :raises UsageError: none that waits is called so, or more than one.
    """
    found = [request for request in waiting if name and request.request.startswith(name)]
    if len(found) != 1:
        there = listed([request.request for request in waiting], 16) or "none"
        raise UsageError(
            f"{printable(name) or 'an empty name'}: not the id of one request that waits ({there}). A command that "
            "runs is ended by a signal to its process."
        )
    return found[0]
