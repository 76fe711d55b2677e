"""Pure: what the facts beside a log say, and what they make of a line that has two readings without them."""

from __future__ import annotations

import difflib
import re
import signal as signals
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from trainci.errors import EXIT_MACHINE
from trainci.model.diagnosis import EXIT_CODE, Blame, Diagnosis, Facts, Kind
from trainci.model.run import Cause, Ending
from trainci.model.seen import OF_SECCOMP
from trainci.verdict.collectives import mismatched
from trainci.verdict.follows import without_what_was_missed
from trainci.verdict.last_words import Words
from trainci.verdict.log_reader import NAMES_A_HOST
from trainci.verdict.weigh import Candidate, Weight

# Xid errors that a program brings about (NVIDIA, "XID Errors"): a wrong access, its own end, a stopped kernel.
_OF_PROGRAMS = frozenset({8, 13, 31, 43, 45, 68, 69})

_SMALL = "shm-small"
_WATCHDOG = "nccl-watchdog"
TOLD = "told"
"""The rule of a test that says itself that the machine is at fault."""

_MACHINE: Mapping[str, str] = {
    "device_lost": "a device of the test was lost",
    "ecc": "a device's memory had an error that cannot be corrected",
    "disk_full": "a disk was full",
    "shm_full": "/dev/shm was full",
    "clock_jumped": "the host's clock jumped",
    "container_restarted": "the container was restarted under the test",
}


def facts_of_attempt(ending: Ending, *, phased: bool) -> Facts:
    """What is known of an attempt by how its process ended. ``phased``: its test is of two phases."""
    return Facts(
        **vars(ending.seen),
        exit_code=ending.exit_code,
        signal=ending.signal,
        timed_out=ending.cause is Cause.TIMED_OUT,
        hung=ending.cause is Cause.HUNG,
        own_fault_code=phased,
    )


def of_machine(facts: Facts) -> Diagnosis | None:
    """The machine's fault, where a fact is one by itself."""
    for name, sentence in _MACHINE.items():
        if getattr(facts, name):
            return Diagnosis(Blame.MACHINE, name.replace("_", "-"), sentence, f"fact: {name}")
    if hardware := [number for number in facts.xid or () if number not in _OF_PROGRAMS]:
        sentence = f"a device reported a fault of its hardware (Xid {hardware[0]})"
        return Diagnosis(Blame.MACHINE, "xid", sentence, f"fact: xid {hardware[0]}")
    if facts.own_fault_code and facts.exit_code == EXIT_MACHINE:
        sentence = f"the test found the machine at fault (exit code {EXIT_MACHINE})"
        return Diagnosis(Blame.MACHINE, TOLD, sentence, f"fact: exit code {EXIT_MACHINE}")
    return None


def judge(candidates: Sequence[Candidate], facts: Facts) -> list[Candidate]:
    """``candidates`` with the blame that the facts, and what else the log says, give them."""
    stopped = next((each.line for each in candidates if each.rule == "runner-stopped" and not each.survived), None)
    if stopped and any(each.rule == "ended-from-outside" for each in candidates):
        # Then comes what its end does to what it ran; what pytest tells of may have been before.
        candidates = [each for each in candidates if each.line <= stopped or each.test]
    candidates = _of_small_memory(without_what_was_missed(candidates), facts)
    if mismatched(each.evidence for each in candidates if each.rule == _WATCHDOG):
        candidates = [_of_mismatch(each) if each.rule == _WATCHDOG else each for each in candidates]
    if any(each.rule == "slurm-time-limit" for each in candidates):
        candidates = [each for each in candidates if each.rule != "slurm-cancelled"]
    # Whatever became of it: a disk was full when a process touched mapped memory that is not there.
    full = facts.disk_full is None and any(candidate.rule == "disk-full" for candidate in candidates)
    of_memory = replace(facts, disk_full=True) if full else facts
    judged = [_judged(each, of_memory if each.rule == "rank-bus-error" else facts) for each in candidates]
    if any(candidate.rule == "device-occupied" for candidate in candidates):
        of_others = replace(facts, foreign_memory=True)
        judged = [_judged(each, of_others) if _is_unsure_of_memory(each) else each for each in judged]
    if any(candidate.rule == "inference-server" for candidate in candidates):
        # One that fails ends its own processes by SIGKILL, which did not come from outside.
        judged = [replace(each, blame=Blame.UNSURE) if each.rule == "rank-sigkill" else each for each in judged]
    if any(candidate.rule == "local-server-gone" for candidate in judged):
        # An error that names no host is then about the server that another line names.
        return [each for each in judged if each.rule != "network" or NAMES_A_HOST.search(each.evidence)]
    return judged


def _of_mismatch(candidate: Candidate) -> Candidate:
    meaning = "ranks take part in different collectives, as their watchdogs say"
    return replace(candidate, blame=Blame.CODE, kind=Kind.CAUSE, rule="collective-mismatch", meaning=meaning)


def _of_small_memory(candidates: Sequence[Candidate], facts: Facts) -> Sequence[Candidate]:
    """With /dev/shm full by whoever made it so small, as the log says; how small it is alone ends nothing."""
    small = next((each for each in candidates if each.rule == _SMALL), None)
    if small is None or (facts.shm_full and not any(each.rule == "shm-full" for each in candidates)):
        return candidates
    return [
        replace(each, blame=small.blame, rule=small.rule, meaning=small.meaning)
        if each.rule == "shm-full"
        else each
        for each in candidates
        if each.rule != _SMALL
    ]


def _is_unsure_of_memory(candidate: Candidate) -> bool:
    return candidate.rule == "cuda-out-of-memory" and candidate.blame is Blame.UNSURE


def _judged(candidate: Candidate, facts: Facts) -> Candidate:
    judge = _JUDGES.get(candidate.rule)
    return judge(candidate, facts) if judge else candidate


def _out_of_device_memory(candidate: Candidate, facts: Facts) -> Candidate:
    if candidate.weight is Weight.ASSERTION:
        return candidate
    if facts.foreign_memory or facts.dirty_handover:
        return replace(candidate, blame=Blame.MACHINE, meaning="somebody else's process had memory on the device")
    if facts.foreign_memory is False:
        return replace(candidate, meaning="the program asked for more memory than the device has")
    own, capacity, tried = (said.search(candidate.evidence) for said in (_OWN, _CAPACITY, _TRIED))
    most = max((float(share[1]) / part for share, part in ((own, 0.85), (tried, 1)) if share), default=0)
    free = _FREE.search(candidate.evidence)
    alone = own and free and capacity and float(own[1]) + float(free[1]) >= _ALL * float(capacity[1])
    if alone or _TOO_MUCH.search(candidate.evidence) or (capacity and most >= float(capacity[1])):
        return replace(candidate, meaning="the program asked for more memory than the device has")
    meaning = "the program asked for more memory than the device has; or somebody else's process had memory on it"
    return replace(candidate, blame=Blame.UNSURE, meaning=meaning)


# As torch 2.6 says it, and torch 1.13.
_OWN = re.compile(
    r"(?:this process has |total capacity; |Of the allocated memory )([\d.]+) GiB "
    r"(?:memory in use|already allocated|is)"
)
# More than any device has by itself; a TPU is nobody else's.
_TOO_MUCH = re.compile(r"allocat(?:e|ing) (?:\d{12,}|\d+(?:,\d{3}){4,}) bytes|That was not possible\.")
_TRIED = re.compile(r"Tried to allocate ([\d.]+) GiB")
_FREE = re.compile(r"of which ([\d.]+) GiB is free")
# What a device has to itself is no program's.
_ALL = 0.97
_CAPACITY = re.compile(r"(?:total capacity of |[GNX]PU \d+; )([\d.]+) GiB")


def _older_driver(candidate: Candidate, facts: Facts) -> Candidate:
    """What the runtime says of an old driver, it says where there is none, too: then a test's own set-up fails."""
    del facts
    if not candidate.told or not _NO_DRIVER.search(candidate.evidence):
        return candidate
    meaning = "the host has no driver, or an older one than the test was built for"
    return replace(candidate, blame=Blame.MACHINE, meaning=meaning)


_NO_DRIVER = re.compile(r"cudaErrorInsufficientDriver|driver version is insufficient")


def _launch_failure(candidate: Candidate, facts: Facts) -> Candidate:
    hardware = facts.device_lost or facts.ecc or any(number not in _OF_PROGRAMS for number in facts.xid or ())
    if not hardware:
        return candidate
    meaning = "a kernel broke off on a device that reported a fault of its own"
    return replace(candidate, blame=Blame.MACHINE, meaning=meaning)


def _killed(candidate: Candidate, facts: Facts) -> Candidate:
    if facts.kernel_oom:
        return replace(candidate, rule="kernel-oom", meaning=_OOM)
    if facts.kernel_oom is False and not facts.timed_out:
        meaning = "a process was killed from outside, and not for memory"
        return replace(candidate, blame=Blame.MACHINE, meaning=meaning)
    return candidate


# Whose names everybody knows, so that one that is nearly theirs is a slip of the pen.
_KNOWN = (
    *(
        "huggingface.co",
        "hf-mirror.com",
        "modelscope.cn",
        "github.com",
        "githubusercontent.com",
        "pythonhosted.org",
    ),
    *("pypi.org", "pytorch.org", "nvidia.com", "nvcr.io", "docker.io", "docker.com", "ghcr.io", "quay.io"),
    *("amazonaws.com", "googleapis.com", "anaconda.com", "anaconda.org", "ubuntu.com", "wandb.ai", "openai.com"),
)
_DOMAIN = re.compile(r"(?<![\w@-])(?:[\w-]+\.)*([\w-]+\.[a-z]{2,6})(?![\w.])")


def _not_resolved(candidate: Candidate, facts: Facts) -> Candidate:
    del facts
    for domain in _DOMAIN.findall(candidate.evidence):
        if domain not in _KNOWN and (meant := difflib.get_close_matches(domain, _KNOWN, 1, 0.85)):
            meaning = f"a name was not resolved, which may be {meant[0]} with a slip of the pen"
            return replace(candidate, blame=Blame.UNSURE, meaning=meaning)
    return candidate


def _disk_full(candidate: Candidate, facts: Facts) -> Candidate:
    if facts.disk_full is not False:
        return candidate
    meaning = "a disk was full, and had room again once the job had ended, which may have filled it itself"
    return replace(candidate, blame=Blame.UNSURE, meaning=meaning)


def _bus_error(candidate: Candidate, facts: Facts) -> Candidate:
    return replace(candidate, blame=Blame.MACHINE) if facts.shm_full or facts.disk_full else candidate


def _worker_killed(candidate: Candidate, facts: Facts) -> Candidate:
    return replace(candidate, blame=Blame.UNSURE) if facts.shm_full is False else candidate


_OOM = "the job used more memory than it may: it grew, or its limit is too small"
_JUDGES: Mapping[str, Callable[[Candidate, Facts], Candidate]] = {
    "cuda-launch-failure": _launch_failure,
    "cuda-out-of-memory": _out_of_device_memory,
    "disk-full": _disk_full,
    "driver-too-old": _older_driver,
    "dns": _not_resolved,
    "rank-sigkill": _killed,
    "rank-bus-error": _bus_error,
    "shm-full": _worker_killed,
}


# How a shell's trace, or a program that tells what it runs, names a tool that asks the driver for its devices.
_ASKS_DRIVER = re.compile(
    r"(?:.{0,60}\b(?i:run|running|calling|executing|exec|command)\W{1,3}|[+$>]+ )?(?:timeout \S+ |sudo )*"
    r"(?:\S*/)?(?:nvidia|rocm|amd|npu|xpu|hl)-smi\b(?!.*\|.*\|)"
)


def of_ending(facts: Facts, last: Words | None = None) -> Diagnosis:
    """What the ending says where the log says nothing; ``last`` is what was printed last."""
    in_vain = facts.timed_out or facts.hung or facts.exit_code == _TIMEOUT_OF_COREUTILS
    if in_vain and last and _ASKS_DRIVER.match(last.text):
        sentence = "the driver was asked for its devices, and gave no answer"
        return Diagnosis(Blame.MACHINE, "driver-gone", sentence, last.text, last.line)
    number = facts.signal
    if number is None and facts.exit_code is not None and 128 < facts.exit_code < 128 + 65:
        number = facts.exit_code - 128
    if number is None and facts.exit_code is not None and facts.exit_code < 0:
        number = -facts.exit_code
    if facts.kernel_oom:
        return Diagnosis(Blame.UNSURE, "kernel-oom", _OOM, "fact: kernel_oom")
    if facts.hung:
        sentence = "it showed no progress, and its log does not say what it waited for"
        return Diagnosis(Blame.UNSURE, "hung", sentence, "fact: hung")
    if facts.timed_out:
        sentence = "it did not end in its time, and its log does not say what it waited for"
        return Diagnosis(Blame.UNSURE, "time-limit", sentence, "fact: timed_out")
    if number is not None:
        return _of_signal(number, facts)
    if facts.exit_code == _TIMEOUT_OF_COREUTILS:
        sentence = "`timeout` ended it (exit code 124), and its log does not say what it waited for"
        return Diagnosis(Blame.UNSURE, "time-limit", sentence, "fact: exit code 124")
    if facts.exit_code:
        sentence = f"it ended with exit code {facts.exit_code}, and no rule knows more of why"
        return Diagnosis(Blame.CODE, EXIT_CODE, sentence, f"fact: exit code {facts.exit_code}")
    return Diagnosis(Blame.UNSURE, "nothing", "neither the log nor a fact says why it ended")


_TIMEOUT_OF_COREUTILS = 124
_CRASHES = (signals.SIGSEGV, signals.SIGFPE, signals.SIGABRT, signals.SIGSYS, signals.SIGTRAP)


def _of_signal(number: int, facts: Facts) -> Diagnosis:
    name = signals.Signals(number).name if number in set(signals.Signals) else f"signal {number}"
    evidence = f"fact: {name}"
    if facts.seccomp:
        return Diagnosis(Blame.CODE, "crash", OF_SECCOMP, "fact: seccomp")
    if number in _CRASHES:
        return Diagnosis(Blame.CODE, "crash", f"native code of the program crashed ({name})", evidence)
    if number == signals.SIGILL:
        sentence = "native code crashed (SIGILL): by its own check, or as the processor lacks what it was built for"
        return Diagnosis(Blame.UNSURE, "crash", sentence, evidence)
    if number == signals.SIGKILL and facts.kernel_oom is False:
        return Diagnosis(Blame.MACHINE, "killed", "it was killed from outside, and not for memory", evidence)
    return Diagnosis(Blame.UNSURE, "killed", f"{name} ended it: somebody's, or the kernel's", evidence)
