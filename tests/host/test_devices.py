"""Devices: what --devices means, and what an inherited CUDA_VISIBLE_DEVICES leaves."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pynvml
import pytest

from trainci.errors import MachineError, UsageError
from trainci.host import devices
from trainci.host.devices import nvidia
from trainci.host.devices.usage import usage
from trainci.lease import command
from trainci.lease.options import parse
from trainci.lease.store import inventory
from trainci.model.look import Usage

has_gpu = pytest.mark.skipif(not devices.discover(), reason="no GPU on this host")
has_no_gpu = pytest.mark.skipif(bool(devices.discover()), reason="this host has a GPU")


def test_virtual_devices_are_called_virtual():
    pool = devices.pool("cpu:3")
    assert pool.virtual
    assert [device.uuid for device in pool.devices] == ["cpu-0", "cpu-1", "cpu-2"]
    assert pool.sentence == "3 virtual devices, no GPU"


@pytest.mark.parametrize("spec", ["", "cpu", "cpu:", "cpu:0", "cpu:-1", "cpu:121", "gpu:1", "0,", "0;1", "a\nb"])
def test_a_malformed_specification_says_what_may_be_written(spec):
    with pytest.raises(UsageError, match=r"write auto, cpu:N .* or indices such as 0,1"):
        devices.pool(spec)


@has_no_gpu
def test_an_index_that_does_not_exist_is_refused_and_says_what_there_is():
    with pytest.raises(UsageError, match="no device 0, 7 here; this host has: none"):
        devices.pool("0,7")


@has_no_gpu
def test_a_host_without_a_driver_has_no_devices():
    assert devices.discover() == ()
    assert devices.pool("auto").sentence == "no GPU"


@has_no_gpu
@pytest.mark.parametrize("call", ["discover()", "topology()", "pool('auto')", "load()"])
def test_the_binding_of_nvml_is_imported_only_where_there_is_a_driver(call):
    script = f"import sys; from trainci.host import devices; devices.{call}; sys.exit('pynvml' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


@has_no_gpu
def test_a_lease_of_so_many_gpus_without_a_driver_imports_no_nvml(tmp_path):
    lease = ("--lock-dir", str(tmp_path), "--total-gpus", "2", "--devices", "1", "--", "true")
    words = [sys.executable, "-X", "importtime", "-m", "trainci.lease", *lease]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "trainci.lease" in done.stderr
    assert "pynvml" not in done.stderr


@has_gpu
def test_nvml_shows_each_gpu_with_its_uuid_and_memory(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = devices.pool("auto").devices
    assert [device.index for device in found] == list(range(len(found)))
    assert all(device.uuid.startswith(("GPU-", "MIG-")) and device.memory_bytes > 0 for device in found)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices.pool("auto").devices == ()


class Driver:
    """Stands in for the NVML library, which a host without a GPU has not: GPU-a, and its MIG instances 1 and 2."""

    def __init__(self, monkeypatch):
        self.lost = False
        # As NVML counts: it is closed by the last one who shuts it down.
        self.users = self.openings = 0
        self.ecc = 0
        self.remapped = (0, 0, 0, 0)
        self.events = []
        self.registered = []
        answers = {
            "nvmlInit": lambda: self.opened(1),
            "nvmlShutdown": lambda: self.opened(-1),
            "nvmlDeviceGetHandleByUUID": str,
            "nvmlDeviceGetUUID": str,
            "nvmlDeviceGetMemoryInfo": lambda handle: self.fail() if self.lost else SimpleNamespace(used=0),
            "nvmlDeviceGetUtilizationRates": self.utilization,
            "nvmlDeviceIsMigDeviceHandle": lambda handle: handle.startswith("MIG-"),
            "nvmlDeviceGetDeviceHandleFromMigDeviceHandle": lambda handle: "GPU-a",
            "nvmlDeviceGetGpuInstanceId": lambda handle: int(handle[-1]),
            "nvmlDeviceGetTotalEccErrors": lambda handle, *kinds: self.ecc,
            "nvmlDeviceGetRemappedRows": lambda handle: self.remapped,
            "nvmlEventSetCreate": lambda: "events",
            "nvmlDeviceRegisterEvents": lambda handle, kinds, events: self.registered.append((handle, kinds)),
            "nvmlEventSetWait_v2": self.next_event,
        }
        for name, answer in answers.items():
            monkeypatch.setattr(pynvml, name, answer)
        monkeypatch.setattr(nvidia, "_LIBRARY", None)  # whatever is loaded already

    def opened(self, change):
        self.openings += self.users == 0
        self.users += change

    def utilization(self, handle):
        if handle.startswith("MIG-"):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return SimpleNamespace(gpu=37)

    def fail(self):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)

    def next_event(self, events, milliseconds):
        if not self.events:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_TIMEOUT)
        xid, instance = self.events.pop(0)
        return SimpleNamespace(device="GPU-a", eventData=xid, gpuInstanceId=instance)


@pytest.fixture
def driver(monkeypatch):
    return Driver(monkeypatch)


@pytest.mark.parametrize("uuid", ["GPU-a", "MIG-1"])
def test_faults_of_a_device_are_told_in_a_sentence(driver, uuid):
    assert devices.faults(uuid) == ""
    driver.remapped = (0, 1, 1, 0)
    assert devices.faults(uuid) == "a broken row of its memory is replaced only by a reset of the GPU"
    driver.remapped = (0, 1, 0, 1)
    assert devices.faults(uuid) == "a broken row of its memory could not be replaced"
    driver.ecc = 3
    assert devices.faults(uuid) == "3 uncorrectable ECC errors since the driver was loaded"
    driver.lost = True
    assert devices.faults(uuid) == "NVML cannot reach it: GPU is lost"


def test_questions_of_one_session_open_nvml_once(driver):
    with devices.session():
        assert devices.faults("GPU-a") == ""
        assert devices.memory_used("GPU-a") == 0
    assert (driver.openings, driver.users) == (1, 0)
    devices.memory_used("GPU-a")
    assert (driver.openings, driver.users) == (2, 0)


def test_the_usage_of_gpus_is_told_in_one_opening_and_of_virtual_devices_nothing(driver):
    assert usage(["cpu-0"]) == ()
    assert driver.openings == 0
    assert usage(["GPU-a", "MIG-1"]) == (Usage("GPU-a", 37, 0), Usage("MIG-1", None, 0))
    assert (driver.openings, driver.users) == (1, 0)
    driver.lost = True
    with pytest.raises(MachineError, match="GPU is lost"):
        usage(["GPU-a"])


class Host(Driver):
    """Three GPUs: one that answers, one that has fallen off the bus, one whose memory is the host's own."""

    def __init__(self, monkeypatch):
        super().__init__(monkeypatch)
        answers = {
            "nvmlDeviceGetCount": lambda: 3,
            "nvmlDeviceGetHandleByIndex": lambda index: f"GPU-{'abc'[index]}" if index != 1 else self.fail(),
            "nvmlDeviceGetHandleByUUID": lambda uuid: self.fail() if uuid.startswith("unreachable") else uuid,
            "nvmlDeviceGetMigMode": lambda handle: [0, 0],
            "nvmlDeviceGetName": lambda handle: "NVIDIA H100",
            "nvmlDeviceGetMemoryInfo": self.memory,
            "nvmlDeviceGetP2PStatus": lambda *_: pynvml.NVML_P2P_STATUS_OK,
            "nvmlDeviceGetPciInfo": lambda handle: SimpleNamespace(busId="00000000:FF:00.0"),
        }
        for name, answer in answers.items():
            monkeypatch.setattr(pynvml, name, answer)

    def memory(self, handle):
        if handle == "GPU-c":
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return SimpleNamespace(used=5, total=80)


def test_a_gpu_that_cannot_be_queried_is_told_with_its_reason_and_the_others_are_used(monkeypatch):
    Host(monkeypatch)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    sound, lost, unified = devices.discover()
    assert (sound.uuid, sound.fault, sound.memory_bytes) == ("GPU-a", "", 80)
    assert (lost.uuid, lost.index, lost.fault) == ("unreachable-1", 1, "NVML cannot reach it: GPU is lost")
    assert (unified.uuid, unified.index, unified.fault, unified.memory_bytes) == ("GPU-c", 2, "", 0)
    assert devices.pool("auto").devices == (sound, unified)
    assert devices.pool("2").devices == (unified,)
    with pytest.raises(MachineError, match="device 1 cannot be used: NVML cannot reach it: GPU is lost"):
        devices.pool("1,2")
    assert devices.topology() == (("GPU-a", "GPU-c", 1),)
    assert devices.numa_node("unreachable-1") == -1
    assert devices.faults("unreachable-1") == "NVML cannot reach it: GPU is lost"


def test_a_gpu_whose_memory_cannot_be_read_is_sound(monkeypatch):
    Host(monkeypatch)
    assert devices.faults("GPU-c") == ""
    assert devices.memory_used("GPU-c") == 0
    assert devices.memory_used("GPU-a") == 5


def test_xids_are_heard_once_for_the_devices_that_had_them(driver):
    heard = devices.listen(["GPU-a"])
    assert driver.registered == [("GPU-a", pynvml.nvmlEventTypeXidCriticalError)]
    assert heard() == ()
    driver.events = [(31, 0xFFFFFFFF), (79, 2)]
    assert heard() == (("GPU-a", 31), ("GPU-a", 79))
    assert heard() == ()


def test_an_xid_of_one_mig_instance_is_not_its_neighbours(driver):
    heard = devices.listen(["MIG-1", "MIG-2"])
    driver.events = [(94, 2), (79, 0xFFFFFFFF)]
    assert heard() == (("MIG-2", 94), ("MIG-1", 79), ("MIG-2", 79))


def test_where_nvml_has_no_events_nothing_is_heard(driver, monkeypatch):
    monkeypatch.setattr(pynvml, "nvmlDeviceRegisterEvents", lambda *_: driver.fail())
    heard = devices.listen(["GPU-a"])
    driver.events = [(79, 0xFFFFFFFF)]
    assert heard() == ()


def test_a_device_of_no_known_vendor_cannot_be_asked_about():
    with pytest.raises(MachineError, match=r"cpu-0 is a device of no vendor that is known here \(nvidia\)"):
        devices.faults("cpu-0")


def test_a_device_that_the_variable_hides_is_refused_and_the_variable_named(monkeypatch):
    Host(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,2")
    with pytest.raises(UsageError, match=r"this host has: none, as far as CUDA_VISIBLE_DEVICES='2,2' shows it"):
        devices.pool("2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    assert [device.index for device in devices.pool("auto").devices] == [2, 0]


@pytest.mark.parametrize("value", ["0,0", "0,MIG-1234", "2", "GPU-c", "2,-1,0", "NoDevFiles", "", None])
def test_run_and_lease_see_the_same_devices(monkeypatch, value):
    Host(monkeypatch)
    if value is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    found = tuple(device for device in devices.discover() if not device.fault)
    monkeypatch.setattr(inventory, "gpus", lambda directory, total: found)
    leased = command._devices(None, parse(["--", "true"]))
    assert [device.uuid for device in leased] == [device.uuid for device in devices.pool("auto").devices]
