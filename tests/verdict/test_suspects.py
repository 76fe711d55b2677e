"""Devices whose failures cannot be chance are named, and no others."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.model.diagnosis import Blame, Diagnosis
from trainci.model.run import Cause, Ending, Outcome, Verdict
from trainci.verdict.suspects import LEVEL, Used, at_least, may_be_of_devices, since, speaks_against, suspects


def used(device: str, failed: bool, count: int = 1, test: str = "t.py") -> list[Used]:
    return [Used(test, (device,), failed)] * count


def test_a_gpu_that_hung_3_of_3_while_two_others_passed_23_of_23_is_named_after_its_third_run() -> None:
    others = used("GPU-2", False, 12) + used("GPU-3", False, 11)
    assert suspects(others + used("GPU-1", True, 2)) == []
    (found,) = suspects(others + used("GPU-1", True, 3))
    assert found.device == "GPU-1"
    assert found.chance == pytest.approx(3 * (3 / 26) ** 3)
    assert found.sentence == "GPU-1 failed 3 of 3 while the others passed 23 of 23 (by chance: 0.005)"


def test_a_test_that_passes_nowhere_says_nothing_of_devices() -> None:
    others = used("GPU-2", False, 12) + used("GPU-3", False, 11)
    assert suspects(others + used("GPU-1", True, 9, test="broken.py")) == []


def test_devices_that_were_always_used_together_are_not_told_apart() -> None:
    both = [Used("t.py", ("GPU-0", "GPU-1"), True)] * 5
    others = used("GPU-2", False, 30) + used("GPU-3", False, 30)
    assert suspects(both + others) == []
    apart = suspects(both + others + used("GPU-0", False, 20))
    assert [suspect.device for suspect in apart] == ["GPU-1"]


def test_a_device_alone_or_one_that_fails_as_the_others_do_is_none() -> None:
    assert suspects(used("GPU-0", True, 20) + used("GPU-0", False, 1)) == []
    alike = [one for device in "abcd" for one in used(device, True, 3) + used(device, False, 9)]
    assert suspects(alike) == []


def test_the_binomial_is_exact() -> None:
    assert at_least(0, 5, 0.3) == pytest.approx(1)
    assert at_least(5, 5, 0.5) == 1 / 32
    assert at_least(2, 3, 0.25) == pytest.approx(3 * 0.25**2 * 0.75 + 0.25**3)


@given(st.integers(2, 8), st.floats(0.0, 0.3), st.integers(0, 2**32))
def test_no_more_is_named_of_devices_that_are_alike_than_the_level_lets(count: int, rate: float, seed: int) -> None:
    chance = random.Random(seed)
    devices = [f"GPU-{number}" for number in range(count)]
    runs = 40
    named = 0
    for _ in range(runs):
        attempts = [Used("t.py", (chance.choice(devices),), chance.random() < rate) for _ in range(60)]
        named += bool(suspects(attempts))
    # Four standard deviations above what the level lets.
    assert named <= runs * LEVEL + 4 * (runs * LEVEL) ** 0.5 + 1


@pytest.mark.parametrize(
    ("rule", "theirs"), [("gpu-lost", True), ("xid", True), ("hub-error", False), ("disk-full", False)]
)
def test_what_a_hub_or_a_disk_did_is_no_fault_of_devices(rule: str, theirs: bool) -> None:
    diagnosis = Diagnosis(Blame.MACHINE, rule, "")
    assert may_be_of_devices(Verdict(Outcome.MACHINE, "", diagnosis)) is theirs
    assert may_be_of_devices(Verdict(Outcome.MACHINE, "it was lost"))
    assert not may_be_of_devices(Verdict(Outcome.FAILED, "", diagnosis))


@pytest.mark.parametrize(
    ("ending", "blame", "rule", "against"),
    [
        (Ending(Cause.EXITED, 0), None, "", False),
        (Ending(Cause.HUNG), Blame.UNSURE, "hung", True),
        (Ending(Cause.TIMED_OUT), None, "", True),
        (Ending(Cause.EXITED, 1), Blame.MACHINE, "xid", True),
        (Ending(Cause.EXITED, 1), Blame.MACHINE, "hub-error", None),
        (Ending(Cause.EXITED, 1), Blame.UNSURE, "nccl-watchdog", True),
        (Ending(Cause.EXITED, 1), Blame.CODE, "nan", None),
        (Ending(Cause.EXITED, 1), None, "", None),
    ],
)
def test_what_an_ending_says_of_its_devices(
    ending: Ending, blame: Blame | None, rule: str, against: bool | None
) -> None:
    assert speaks_against(ending, Diagnosis(blame, rule, "") if blame else None) is against


def test_what_somebody_has_known_of_counts_no_more() -> None:
    attempts = [Used("t.py", ("GPU-1",), True, at) for at in (1.0, 2.0, 3.0)]
    assert since(attempts, {"GPU-1": 2.0}) == attempts[2:]
    assert since(attempts, {"GPU-2": 9.0}) == attempts
