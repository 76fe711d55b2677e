"""NVIDIA GPUs and their MIG instances, through NVML. The one room that knows it.

Its binding is imported only where there is NVML: elsewhere it would cost each lease 45 ms, and find nothing.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from trainci.errors import MachineError
from trainci.host.devices.vendor import Heard
from trainci.host.files import read_bytes
from trainci.model.device import UNREACHABLE, Device

VARIABLE = "CUDA_VISIBLE_DEVICES"
# What the binding loads, in containers and in WSL too, and what comes with each driver.
_LIBRARY = "libnvidia-ml.so.1"
# Long enough for NVML to look at what lies there already.
_EVENT_WAIT_MS = 1
# What NVML says where an event is of no single MIG instance (nvml.h, nvmlEventData_t).
_ANY_INSTANCE = 0xFFFFFFFF


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
                found.append(Device(len(found), f"{UNREACHABLE}{position}", "unreachable GPU", fault=fault))
        return tuple(found)


def knows(uuid: str) -> bool:
    """Is this a UUID of NVML's, or a name that ``discover`` gives to what NVML cannot reach?"""
    return uuid.startswith(("GPU-", "MIG-", UNREACHABLE))


def load() -> None:
    """Load the binding of NVML now, which takes longer than its answers; nothing is opened."""
    _binding()


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


def users(uuid: str) -> tuple[int, ...]:
    """The ids of the processes that compute on it; none where NVML cannot tell, or tells of another namespace's.

    :raises MachineError: NVML fails or does not know the device.
    """
    with _nvml() as nvml:
        handle = _handle(nvml, uuid)
        try:
            found = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        except nvml.NVMLError:
            return ()
        return tuple(sorted({int(process.pid) for process in found if process.pid}))


def utilization(uuid: str) -> int | None:
    """How many percent of the last moment a kernel ran on it; None for a MIG instance, of which NVML does not tell.

    :raises MachineError: NVML fails or does not know the device.
    """
    with _nvml() as nvml:
        handle = _handle(nvml, uuid)
        try:
            return int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        except nvml.NVMLError:
            return None


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


def listen(uuids: Sequence[str]) -> Heard:
    """Hear the Xid errors of these devices from now on, until this process ends.

    Where NVML cannot tell (an old card, a virtual one), nothing is ever heard.
    """
    nvml = _binding()
    if nvml is None:
        return tuple
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
        return int(read_bytes(f"/sys/bus/pci/devices/{bus.lower()[-12:]}/numa_node"))
    except (OSError, ValueError):
        return -1


@contextmanager
def _nvml() -> Iterator[Any]:
    nvml = _binding()
    if nvml is None:
        yield None
        return
    try:
        nvml.nvmlInit()
    except (nvml.NVMLError_LibraryNotFound, nvml.NVMLError_DriverNotLoaded):
        yield None
        return
    except nvml.NVMLError as error:
        raise MachineError(f"the NVIDIA driver is there, but NVML fails: {error}. Look at `nvidia-smi`.") from None
    try:
        yield nvml
    except nvml.NVMLError as error:
        raise MachineError(f"NVML fails: {error}. Look at `nvidia-smi`.") from None
    finally:
        nvml.nvmlShutdown()


def _binding() -> Any:
    """The binding of NVML; None where there is no NVML to bind to."""
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    import pynvml

    return pynvml


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
