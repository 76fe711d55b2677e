"""The host's accelerators through NVML, or virtual CPU devices. The one room that knows NVML."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from trainci.errors import MachineError, UsageError
from trainci.model import Device, Pool
from trainci.text import printable

# What one lease can hold (``trainci.lease.options``).
_MOST_VIRTUAL = 120
# Long enough for NVML to look at what lies there already.
_EVENT_WAIT_MS = 1
# What NVML says where an event is of no single MIG instance (nvml.h, nvmlEventData_t).
_ANY_INSTANCE = 0xFFFFFFFF


def pool(spec: str) -> Pool:
    """The devices that ``--devices SPEC`` means: ``auto``, ``cpu:N``, or indices such as ``0,1``.

    :raises UsageError: the specification is malformed or names a device that does not exist.
    :raises MachineError: NVML is there and fails, or a device that is named cannot be used.
    """
    if spec == "auto":
        return Pool(tuple(device for device in _inherited(discover()) if not device.fault), virtual=False)
    kind, _, count = spec.partition(":")
    if kind == "cpu" and count.isdecimal() and 0 < int(count) <= _MOST_VIRTUAL:
        return Pool(virtual_devices(int(count)), virtual=True)
    wanted = spec.split(",")
    if not all(part.isdecimal() for part in wanted):
        raise UsageError(
            f"--devices {printable(spec)}: write auto, cpu:N (N virtual devices, up to {_MOST_VIRTUAL}), "
            "or indices such as 0,1."
        )
    seen = {device.index: device for device in _inherited(discover())}
    missing = [part for part in wanted if int(part) not in seen]
    if missing:
        has = ", ".join(str(index) for index in seen) or "none"
        raise UsageError(f"--devices {printable(spec)}: no device {', '.join(missing)} here; this host has: {has}.")
    chosen = tuple(seen[index] for index in sorted({int(part) for part in wanted}))
    for device in chosen:
        if device.fault:
            raise MachineError(f"--devices {spec}: device {device.index} cannot be used: {device.fault}.")
    return Pool(chosen, virtual=False)


def virtual_devices(count: int) -> tuple[Device, ...]:
    """``count`` stand-ins for accelerators, on a host with none."""
    return tuple(Device(index, f"cpu-{index}", "virtual CPU device", virtual=True) for index in range(count))


def discover() -> tuple[Device, ...]:
    """Every NVIDIA GPU that NVML shows, in PCI bus order; a GPU split by MIG gives its instances instead.

    Empty where there is no driver. One GPU that NVML cannot query is given with its ``fault``, and under a name of
    its position, so that the others can be used. What CUDA_VISIBLE_DEVICES says is not looked at.

    :raises MachineError: a driver is there and NVML fails.
    """
    with _nvml() as nvml:
        if nvml is None:
            return ()
        found: list[Device] = []
        for position in range(nvml.nvmlDeviceGetCount()):
            try:
                parts = _mig_parts(nvml, nvml.nvmlDeviceGetHandleByIndex(position))
                found += [_device(nvml, part, len(found) + i) for i, part in enumerate(parts)]
            except nvml.NVMLError as error:
                fault = _unreachable(error)
                found.append(Device(len(found), f"unreachable-{position}", "unreachable GPU", fault=fault))
        return tuple(found)


def visible(devices: Sequence[Device], variable: str) -> tuple[Device, ...]:
    """The devices that a ``CUDA_VISIBLE_DEVICES`` of this value leaves, in its order.

    Entries are indices, UUIDs or unique beginnings of UUIDs; CUDA ignores everything after the first entry
    that it does not know (CUDA C++ Programming Guide, "CUDA Environment Variables"), and shows no device at all
    when one is named twice.
    """
    found: list[Device] = []
    for part in variable.split(","):
        text = part.strip()
        if text.isdecimal():
            hits = [device for device in devices if device.index == int(text)]
        else:
            hits = [device for device in devices if text and device.uuid.startswith(text)]
        if len(hits) != 1:
            break
        if hits[0] in found:
            return ()
        found.append(hits[0])
    return tuple(found)


def load() -> None:
    """Load the binding of NVML now, which takes longer than its answers; nothing is opened."""
    import pynvml  # noqa: F401


@contextmanager
def session() -> Iterator[None]:
    """Questions that are asked within it share one opening of NVML, which else takes each of them 10 ms and more.

    :raises MachineError: NVML fails.
    """
    with _nvml():
        yield


def memory_used(uuid: str) -> int:
    """Bytes of the device's memory that are in use, by whatever process; 0 where it is the host's, not its own.

    :raises MachineError: NVML fails or does not know the device.
    """
    with _nvml() as nvml:
        memory = _memory(nvml, _handle(nvml, uuid))
        return int(memory.used) if memory else 0


def faults(uuid: str) -> str:
    """One sentence when the device cannot be reached any more, or reports uncorrectable memory errors, or rows of
    memory that could not be replaced or are only after a reset; else empty.

    :raises MachineError: NVML as a whole fails.
    """
    with _nvml() as nvml:
        try:
            handle = _whole(_required(nvml), _handle(nvml, uuid))
            # One that has fallen off the bus has a handle, and no answers.
            _memory(nvml, handle)
        except nvml.NVMLError as error:
            return _unreachable(error)
        return _memory_faults(nvml, handle)


def _unreachable(error: Exception) -> str:
    return f"NVML cannot reach it: {error}"


def _memory(nvml: Any, handle: Any) -> Any:
    """What NVML says of its memory, None for a GPU that shares the host's (NVML knows of none then)."""
    try:
        return nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError_NotSupported:
        return None


def _memory_faults(nvml: Any, handle: Any) -> str:
    with suppress(nvml.NVMLError):
        count = nvml.nvmlDeviceGetTotalEccErrors(
            handle, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
        )
        if count:
            return f"{count} uncorrectable ECC errors since the driver was loaded"
    with suppress(nvml.NVMLError):
        _, _, pending, failed = nvml.nvmlDeviceGetRemappedRows(handle)
        if failed:
            return "a broken row of its memory could not be replaced"
        if pending:
            return "a broken row of its memory is replaced only by a reset of the GPU"
    return ""


def listen_for_xids(uuids: Sequence[str]) -> Callable[[], tuple[tuple[str, int], ...]]:
    """Hear the Xid errors of these devices from now on, until this process ends.

    Returns what gives, at each call, those that came since the call before: pairs of UUID and number. Where NVML
    cannot tell (an old card, a virtual one), nothing is ever heard.
    """
    import pynvml as nvml

    try:
        nvml.nvmlInit()
        events = nvml.nvmlEventSetCreate()
    except nvml.NVMLError:
        return tuple
    listeners = [listener for uuid in uuids for listener in _registered(nvml, events, uuid)]

    def heard() -> tuple[tuple[str, int], ...]:
        found: list[tuple[str, int]] = []
        while True:
            try:
                event = nvml.nvmlEventSetWait_v2(events, _EVENT_WAIT_MS)
                physical = nvml.nvmlDeviceGetUUID(event.device)
            except nvml.NVMLError:
                # No more of them, mostly.
                return tuple(found)
            for uuid, of, instance in listeners:
                everywhere = _ANY_INSTANCE in (instance, event.gpuInstanceId)
                if of == physical and (everywhere or instance == event.gpuInstanceId):
                    found.append((uuid, int(event.eventData)))

    return heard


def _registered(nvml: Any, events: Any, uuid: str) -> list[tuple[str, str, int]]:
    """A device's UUID, that of its whole GPU, and its MIG instance; nothing where it has no such events."""
    try:
        handle = _handle(nvml, uuid)
        whole = _whole(nvml, handle)
        nvml.nvmlDeviceRegisterEvents(whole, nvml.nvmlEventTypeXidCriticalError, events)
        instance = _ANY_INSTANCE if whole is handle else int(nvml.nvmlDeviceGetGpuInstanceId(handle))
        return [(uuid, nvml.nvmlDeviceGetUUID(whole), instance)]
    except nvml.NVMLError:
        return []


def topology() -> tuple[tuple[str, str, int], ...]:
    """Pairs of devices that NVLink joins, directly or through switches; the number is 1 for each pair."""
    with _nvml() as nvml:
        if nvml is None:
            return ()
        handles = []
        for position in range(nvml.nvmlDeviceGetCount()):
            with suppress(nvml.NVMLError):
                handles.append(nvml.nvmlDeviceGetHandleByIndex(position))
        pairs: list[tuple[str, str, int]] = []
        for i, first in enumerate(handles):
            for second in handles[i + 1 :]:
                try:
                    state = nvml.nvmlDeviceGetP2PStatus(first, second, nvml.NVML_P2P_CAPS_INDEX_NVLINK)
                except nvml.NVMLError:
                    continue
                if state == nvml.NVML_P2P_STATUS_OK:
                    pairs.append((nvml.nvmlDeviceGetUUID(first), nvml.nvmlDeviceGetUUID(second), 1))
        return tuple(pairs)


def numa_node(uuid: str) -> int:
    """The NUMA node that the device hangs on, -1 where the kernel does not say."""
    with _nvml() as nvml:
        try:
            bus = str(_required(nvml).nvmlDeviceGetPciInfo(_handle(nvml, uuid)).busId)
        except nvml.NVMLError:
            return -1
    try:
        # NVML writes the PCI domain with eight digits, the kernel with four.
        return int(Path(f"/sys/bus/pci/devices/{bus.lower()[-12:]}/numa_node").read_text())
    except (OSError, ValueError):
        return -1


def _inherited(devices: tuple[Device, ...]) -> tuple[Device, ...]:
    variable = os.environ.get("CUDA_VISIBLE_DEVICES")
    return devices if variable is None else visible(devices, variable)


@contextmanager
def _nvml() -> Iterator[Any]:
    import pynvml

    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        yield None
        return
    except pynvml.NVMLError as error:
        raise MachineError(f"the NVIDIA driver is there, but NVML fails: {error}. Look at `nvidia-smi`.") from None
    try:
        yield pynvml
    except pynvml.NVMLError as error:
        raise MachineError(f"NVML fails: {error}. Look at `nvidia-smi`.") from None
    finally:
        pynvml.nvmlShutdown()


def _required(nvml: Any) -> Any:
    if nvml is None:
        raise MachineError("there is no NVIDIA driver on this host, so a GPU cannot be asked about.")
    return nvml


def _handle(nvml: Any, uuid: str) -> Any:
    return _required(nvml).nvmlDeviceGetHandleByUUID(uuid)


def _whole(nvml: Any, handle: Any) -> Any:
    """The GPU that a MIG instance is a part of; a whole GPU's own handle."""
    try:
        is_part = nvml.nvmlDeviceIsMigDeviceHandle(handle)
    except nvml.NVMLError:
        return handle
    return nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle) if is_part else handle


def _mig_parts(nvml: Any, handle: Any) -> list[Any]:
    try:
        if not nvml.nvmlDeviceGetMigMode(handle)[0]:
            return [handle]
    except nvml.NVMLError:
        return [handle]
    parts = []
    for position in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            parts.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, position))
        except nvml.NVMLError:
            continue
    return parts


def _device(nvml: Any, handle: Any, index: int) -> Device:
    memory = _memory(nvml, handle)
    total = int(memory.total) if memory else 0
    return Device(index, str(nvml.nvmlDeviceGetUUID(handle)), str(nvml.nvmlDeviceGetName(handle)), total)
