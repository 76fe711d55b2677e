"""CUDA_VISIBLE_DEVICES is read as CUDA reads it, by one reader for `trainci run` and `trainci lease`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.errors import UsageError
from trainci.host.visible import inherited, visible
from trainci.model.device import Device

A = "GPU-bc783d39-f27c-3f36-93eb-ca7e4dbccbd5"
B = "GPU-979b44a1-f36e-8314-e121-7c204c8c8697"
C = "GPU-979bffff-f36e-8314-e121-7c204c8c8697"
M = "MIG-8a56a001-0000-5000-8000-000000000000"
N = "MIG-8a56b002-0000-5000-8000-000000000000"
DEVICES = tuple(Device(index, uuid, "NVIDIA H100") for index, uuid in enumerate((A, B, C, M, N)))

# Where each case comes from.
GUIDE = "CUDA Programming Guide, CUDA Environment Variables"
MIG = "NVIDIA MIG User Guide, CUDA Device Enumeration"
ASKED = "asked of driver 580.159 with two H100s, by cuInit and cuDeviceGetCount"
OURS = "not asked of a driver"

CASES = [
    (None, [0, 1, 2, 3, 4], GUIDE),
    ("", [], GUIDE),
    ("2,1", [2, 1], GUIDE),
    ("0,2,-1,1", [0, 2], GUIDE),
    ("2,-1,0", [2], GUIDE),
    ("GPU-bc783", [0], GUIDE),
    ("GPU-979b", [], GUIDE),  # two begin like that
    ("GPU-979b4,GPU-bc783", [1, 0], GUIDE),
    (M, [3], MIG),
    (f"{N},{M}", [4, 3], MIG),
    # Lists that end early.
    ("-1", [], ASKED),
    ("-1,0,0", [], ASKED),
    ("0,9,1", [0], ASKED),
    ("9", [], ASKED),
    ("GPU-ffff,0", [], ASKED),
    (f"{A},GPU-ffff,{B}", [0], ASKED),
    (f"{A},GPU-,{B}", [0], ASKED),
    ("NoDevFiles", [], ASKED),
    ("0,NoDevFiles", [0], ASKED),
    ("all", [], ASKED),
    ("MIG-1234", [], ASKED),
    ("MIG-00000000-0000-0000-0000-000000000000", [], ASKED),
    ("0,MIG-1234", [0], ASKED),
    # The first entry says whether there are numbers or UUIDs.
    (f"0,{B}", [0], ASKED),
    (f"{B},0", [1], ASKED),
    ("0,MIG-GPU-8a56aaaa/7/0", [0], ASKED),
    # A device that is named twice: CUDA does not start (error 101), unless the list had ended before.
    ("0,0", [], ASKED),
    ("0,1,0", [], ASKED),
    ("0,0,9", [], ASKED),
    ("0,00", [], ASKED),
    (f"{A},GPU-bc783", [], ASKED),
    ("0,9,0", [0], ASKED),
    ("0,-1,0", [0], ASKED),
    (f"{A},GPU-ffff,{A}", [0], ASKED),
    # Numbers as strtol(3) reads them.
    ("001,0", [1, 0], ASKED),
    (" 1", [1], ASKED),
    ("0 , 1", [0, 1], ASKED),
    ("\t1\n", [1], ASKED),
    (" ", [], ASKED),
    ("0,,1", [0], ASKED),
    (",0", [], ASKED),
    ("0,", [0], ASKED),
    ("+1", [1], ASKED),
    ("-0", [0], ASKED),
    ("+ 1", [], ASKED),
    ("1abc,0", [1, 0], ASKED),
    ("0x1", [0], ASKED),
    ("0;1", [0], ASKED),
    ("1 0,0", [1, 0], ASKED),
    ("4294967297", [1], ASKED),
    ("-4294967295", [1], ASKED),
    ("99999999999", [], ASKED),
    ("9" * 5000, [], OURS),
    ("\u0661,0", [], ASKED),  # a digit, but an Arabic one
    ("\xa01", [], ASKED),
    # How a UUID may be written.
    ("GPU-BC783D39", [0], ASKED),
    ("gpu-bc783d39", [], ASKED),
    ("bc783d39", [], ASKED),
    ("GPU-bc783d39f27c", [0], ASKED),
    ("GPU-bc783d39-", [0], ASKED),
    (f"{A} ,{B}", [0, 1], ASKED),
    (f"{A}, {B}", [0], ASKED),
    (f" {A}", [], ASKED),
    ("GPU-bc783 ", [], ASKED),
    (f"{A}x", [0], ASKED),
    ("GPU-bc783d39zz", [], ASKED),
    (f"{A},{M}", [0, 3], OURS),
]


@pytest.mark.parametrize(("value", "left", "source"), CASES)
def test_an_inherited_device_variable_is_read_as_cuda_reads_it(value, left, source):
    assert [device.index for device in visible(DEVICES, value, "CUDA_VISIBLE_DEVICES")] == left, source


def test_a_mig_instance_by_its_old_name_is_refused_and_the_variable_named():
    """Beside its UUID it would be a second name, and a second lock, of one device."""
    with pytest.raises(UsageError, match=r"CUDA_VISIBLE_DEVICES names 'MIG-GPU-8a56aaaa/7/0' .* write its UUID"):
        visible(DEVICES, "MIG-GPU-8a56aaaa/7/0", "CUDA_VISIBLE_DEVICES")


def test_a_device_without_a_place_in_the_list_has_no_number():
    assert visible([Device(-1, M, "MIG instance")], "-1", "CUDA_VISIBLE_DEVICES") == ()


ENTRIES = st.one_of(st.text(), st.integers(-9, 9).map(str), st.sampled_from([A, B, C, M, "GPU-", "MIG-", A[:9]]))


@given(st.lists(ENTRIES).map(",".join))
def test_whatever_the_variable_holds_no_device_is_made_up_or_given_twice(value):
    try:
        left = visible(DEVICES, value, "CUDA_VISIBLE_DEVICES")
    except UsageError:
        return
    assert len(set(left)) == len(left)
    assert set(left) <= set(DEVICES)


@pytest.mark.parametrize(
    ("environment", "value"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "7"}, None),
        ({"SLURM_JOB_GPUS": "1,2"}, "1,2"),
        ({"SLURM_JOB_GPUS": "1,2", "SLURM_STEP_GPUS": "2"}, "2"),
        ({"SLURM_JOB_GPUS": "1,2", "CUDA_VISIBLE_DEVICES": "0,1"}, "0,1"),
        ({"SLURM_JOB_GPUS": "1,2", "CUDA_VISIBLE_DEVICES": ""}, ""),
    ],
)
def test_inside_an_allocation_no_other_devices_are_leased_than_the_engine_gave(environment, value):
    """Its own numbering, where it has set one, is what the job sees."""
    assert inherited("CUDA_VISIBLE_DEVICES", environment) == value


def test_a_lease_inside_an_allocation_never_leaves_it(tmp_path):
    """Of eight GPUs, of which the engine gave two: those two can be had, and no third."""
    environment = {"PATH": os.environ["PATH"], "SLURM_JOB_GPUS": "4,5"}
    lease = [sys.executable, "-m", "trainci", "lease", "--total-gpus", "8", "--lock-dir", str(tmp_path / "locks")]
    said = [
        subprocess.run(
            [*lease, "--count", count, "--", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        for count in ("2", "3")
    ]
    assert [(one.returncode, one.stdout) for one in said] == [(0, "4,5\n"), (2, "")], said
