"""Pure: whether a fault may be that of a device, and which devices fail more often than chance lets them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb

from trainci.model.diagnosis import Blame, Diagnosis
from trainci.model.run import Cause, Ending, Outcome, Verdict

# The rules, for logs and for facts, whose machine's fault may be that of a device, its driver or its links.
_OF_DEVICES = frozenset(
    {
        *("gpu-lost", "gpu-ecc", "driver-gone", "no-cuda-device", "cuda-out-of-memory", "cuda-launch-failure"),
        *("driver-mismatch", "driver-not-there", "device-not-opened", "nccl-system-error"),
        *("device-lost", "ecc", "xid", "told"),
    }
)
# What leaves it open whether the program or a device is at fault.
_PERHAPS_OF_DEVICES = frozenset({"nccl-watchdog", "nccl-peer-gone", "cuda-context-lost", "cuda-out-of-memory"})
# Of so many runs in which no device is worse than another, one names a device.
LEVEL = 0.01


def may_be_of_devices(verdict: Verdict) -> bool:
    """Whether an attempt that ended so may have failed by its devices: not by a hub, a disk or a network."""
    known = verdict.diagnosis
    return verdict.outcome is Outcome.MACHINE and (known is None or known.rule in _OF_DEVICES)


def speaks_against(ending: Ending, diagnosis: Diagnosis | None) -> bool | None:
    """Whether an attempt that ended so speaks against its devices (False: for them; None: says nothing of them)."""
    if ending.passed:
        return False
    if ending.cause in (Cause.HUNG, Cause.TIMED_OUT):
        return True
    if diagnosis is None or diagnosis.blame not in (Blame.MACHINE, Blame.UNSURE):
        return None
    rules = _OF_DEVICES if diagnosis.blame is Blame.MACHINE else _PERHAPS_OF_DEVICES
    return True if diagnosis.rule in rules else None


@dataclass(frozen=True)
class Used:
    """An attempt of a test on devices (ids), which ended at ``at`` (Unix time).

    It passed, or it ``failed`` in a way that may be theirs.
    """

    test_id: str
    devices: tuple[str, ...]
    failed: bool
    at: float = 0.0


@dataclass(frozen=True)
class Suspect:
    """A device, or a host, that fails more often than others: how often, and the chance that this is chance."""

    device: str
    failed: int
    used: int
    others_failed: int
    others_used: int
    chance: float

    @property
    def sentence(self) -> str:
        """Its evidence, without an end."""
        others = f"{self.others_used - self.others_failed} of {self.others_used}"
        return (
            f"{self.device} failed {self.failed} of {self.used} while the others passed {others} "
            f"(by chance: {self.chance:.1g})"
        )


def suspects(attempts: Iterable[Used], level: float = LEVEL) -> list[Suspect]:
    """The devices (or hosts, in their place) whose failures cannot be chance, the worst first.

    Only what a test does on one device and on another says something of devices: tests that passed nowhere are
    left out, and so are devices that were used together all the time, which nothing tells apart. What the worst one
    took part in is left out for the next: it explains it.

    If all devices were alike, each failure would fall on a device with the chance that is its share s of the
    attempts; so of n failures k or more with P = sum over i from k to n of C(n, i) s^i (1-s)^(n-i): the conditional
    test of two rates (Przyborowski and Wilenski 1940, Biometrika 31), times the number of devices, as each is tried
    (Bonferroni).
    """
    known = _telling(list(attempts))
    devices = sorted({device for used in known for device in used.devices})
    found: list[Suspect] = []
    while tried := [
        _tried(device, known, len(devices)) for device in devices if _is_told_apart(device, devices, known)
    ]:
        worst = min(tried, key=lambda suspect: suspect.chance)
        if worst.chance > level:
            break
        found.append(worst)
        known = [used for used in known if worst.device not in used.devices]
        devices = [device for device in devices if device != worst.device]
    return found


def since(attempts: Iterable[Used], known: Mapping[str, float]) -> list[Used]:
    """``attempts`` without those on devices of which somebody has known since that (Unix times)."""
    return [used for used in attempts if all(used.at > known.get(device, 0.0) for device in used.devices)]


def at_least(count: int, of: int, share: float) -> float:
    """The chance of ``count`` or more hits in ``of`` tries, each with the chance ``share`` (exact binomial)."""
    return sum(comb(of, i) * share**i * (1 - share) ** (of - i) for i in range(count, of + 1))


def _telling(attempts: Sequence[Used]) -> list[Used]:
    passed = {used.test_id for used in attempts if not used.failed}
    return [used for used in attempts if used.test_id in passed and used.devices]


def _tried(device: str, known: Sequence[Used], devices: int) -> Suspect:
    mine = [used for used in known if device in used.devices]
    others = [used for used in known if device not in used.devices]
    failed, others_failed = sum(used.failed for used in mine), sum(used.failed for used in others)
    # A device that nothing is compared with has a share of 1: whatever it does can be chance.
    chance = at_least(failed, failed + others_failed, len(mine) / len(known))
    return Suspect(device, failed, len(mine), others_failed, len(others), min(1.0, chance * devices))


def _is_told_apart(device: str, devices: Sequence[str], known: Sequence[Used]) -> bool:
    """Whether no other device was used in the same attempts and in no other."""
    mine = [device in used.devices for used in known]
    return not any([each in used.devices for used in known] == mine for each in devices if each != device)
