"""Devices: what --devices means, and what an inherited CUDA_VISIBLE_DEVICES leaves."""

from __future__ import annotations

import pytest

from trainci import devices
from trainci.errors import UsageError
from trainci.model import Device

GPUS = tuple(Device(i, f"GPU-{'abcd'[i]}{i}", "NVIDIA H100", 80 << 30) for i in range(4))
has_gpu = pytest.mark.skipif(not devices.discover(), reason="no GPU on this host")
has_no_gpu = pytest.mark.skipif(bool(devices.discover()), reason="this host has a GPU")


def test_virtual_devices_are_called_virtual():
    pool = devices.pool("cpu:3")
    assert pool.virtual
    assert [device.uuid for device in pool.devices] == ["cpu-0", "cpu-1", "cpu-2"]
    assert pool.sentence == "3 virtual devices, no GPU"


@pytest.mark.parametrize("spec", ["", "cpu", "cpu:", "cpu:0", "cpu:-1", "cpu:99999", "gpu:1", "0,", "0;1", "a\nb"])
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


@has_gpu
def test_nvml_shows_each_gpu_with_its_uuid_and_memory(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = devices.pool("auto").devices
    assert [device.index for device in found] == list(range(len(found)))
    assert all(device.uuid.startswith(("GPU-", "MIG-")) and device.memory_bytes > 0 for device in found)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices.pool("auto").devices == ()


@pytest.mark.parametrize(
    ("variable", "left"),
    [
        ("", []),
        ("-1", []),
        ("0,2", [0, 2]),
        ("2,0", [2, 0]),
        ("1, 3", [1, 3]),
        ("GPU-c", [2]),
        ("GPU-a0,GPU-d3", [0, 3]),
        ("GPU-", []),
        ("0,9,1", [0]),
        ("1,-1,2", [1]),
        ("NoDevFiles", []),
    ],
)
def test_an_inherited_cuda_visible_devices_is_read_as_cuda_reads_it(variable, left):
    assert [device.index for device in devices.visible(GPUS, variable)] == left
