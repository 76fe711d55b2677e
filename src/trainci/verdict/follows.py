"""Pure: what of a log follows from what else it tells, for all that it says of the program by itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trainci.model.diagnosis import Blame, Kind
from trainci.verdict.answers import OF_SERVERS
from trainci.verdict.hits import COMPARED
from trainci.verdict.prefixes import is_of_rank
from trainci.verdict.weigh import Candidate, Weight

_HARDWARE = frozenset({"gpu-lost", "gpu-ecc"})
ON_BROKEN_DEVICES = frozenset(
    {"illegal-memory-access", "cuda-launch-failure", "cuda-out-of-memory", "cuda-bad-launch"}
)
"""The rules of what follows on a device that is broken, and may itself be all that such a device shows."""


_LONGEST_MESSAGE = 20
# What was not got, and how it is missed.
_MISSED = frozenset({("git-fetch", "git-not-found"), ("driver-mismatch", "driver-too-old")})
_NOT_GOT = frozenset({"package-index", "package-not-found", "version-not-found"})
_OF_INSTALLS = frozenset({"import-error", "tool-missing", "library-missing"})
_INSTALLS = re.compile(
    r"\b(?:pip3?|uv|apt(?:-get)?|dnf|yum|apk|conda|mamba|npm|poetry)\b.{0,40}? (?:install|sync|add|ci)\b"
    r"|\binstall packages\b"
)
_NOT_THERE = re.compile(r"FileNotFoundError|No such file or directory")
# An index of which the signature was not got either.
_NOT_SIGNED = re.compile(r"^E: The repository '.*' is not signed")
# Of a package that is there, the repository has what is missing.
_OF_A_PACKAGE = re.compile(r"No module named '\w+\.|cannot import name")
_NO_DEVICE = re.compile(
    r"(?i)\b(?:no|without)(?: an?)?(?: \w+)? (?:gpus?|cuda|accelerators?)\b"
    r"|(?:\bnot|n't) (?:support|find|have|see|detect)\w*\b.{0,20}\b(?:gpus?|cuda|accelerators?)\b"
    r"|\b(?:needs?|requires?) an? (?:\w+ )?(?:gpu|cuda)\b"
)
_DISKS = frozenset({"file-system-broken", "kernel-report", "disk-full"})


def without_what_was_missed(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Without the packages that were missed after they had not been got, or not all of them."""
    not_got = (
        each.line
        for each in candidates
        if not each.survived and (each.rule in _NOT_GOT or _INSTALLS.search(each.evidence))
    )
    since = min(not_got, default=None)
    if since is None:
        return candidates
    return [
        each
        for each in candidates
        if each.line <= since
        or not (each.rule in _OF_INSTALLS or _NOT_SIGNED.search(each.evidence))
        or _OF_A_PACKAGE.search(each.evidence)
    ]


def leads_to(machine: Candidate, code: Candidate) -> bool:
    """Whether ``code``, for all that it says of the program, comes of what ``machine`` tells."""
    if machine.rule == "lfs-pointer":
        return code.rule == "exception" and abs(machine.line - code.line) <= _LONGEST_MESSAGE
    if machine.blame is not Blame.MACHINE:
        return False
    if (machine.rule, code.rule) in _MISSED:
        return machine.line < code.line
    if code.rule == "file-cut-short":
        got_so = machine.rule in OF_SERVERS and (machine.captured or machine.line < code.line)
        return got_so or machine.rule in _DISKS
    related = (_is_broken_device, _is_missed_device, _is_shown_by_pytest, _ended_the_ranks)
    return any(is_so(machine, code) for is_so in related)


def _is_missed_device(machine: Candidate, code: Candidate) -> bool:
    """Whether ``code`` says that it has no device, after the driver had answered nobody."""
    said_so = code.rule == "exception" and _NO_DEVICE.search(code.evidence) is not None
    return said_so and machine.rule in ("driver-mismatch", "driver-gone") and machine.line < code.line


def _is_shown_by_pytest(machine: Candidate, code: Candidate) -> bool:
    """Whether what ``machine`` tells is in the message of the exception ``code``, below an empty line of it."""
    below = 0 < machine.line - code.line <= _LONGEST_MESSAGE and machine.kind is Kind.CAUSE
    return below and bool(code.test) and code.weight is Weight.ANY and machine.evidence.startswith("E  ")


def _ended_the_ranks(machine: Candidate, code: Candidate) -> bool:
    """Whether ``machine`` ended a rank, and ``code`` looks for what the ranks would have written."""
    ended = machine.exception and is_of_rank(machine.stream) and machine.line < code.line
    looks = code.rule == "exception" and _NOT_THERE.match(code.evidence) is not None
    return ended and looks and not is_of_rank(code.stream)


def _is_broken_device(machine: Candidate, code: Candidate) -> bool:
    unknown = machine.rule == "driver-gone" and "unknown error" in machine.evidence
    if machine.rule not in _HARDWARE and not unknown:
        return False
    if code.rule == COMPARED:
        # The device of a test before it, in the same process.
        return machine.told and machine.line < code.line
    if code.rule not in ON_BROKEN_DEVICES or unknown:
        # What a device raised, and nothing went on after: no number of it is one.
        return machine.exception and not (machine.test or machine.captured) and machine.line < code.line
    # What the kernel says is often put behind the rest when all is over.
    after = code.rule == "cuda-launch-failure" or "NVRM: " in machine.evidence
    return after or machine.line < code.line
