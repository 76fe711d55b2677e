"""Pure: what in a log says that work went on, or that something is tried again."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Each begins with a letter of its own, in lower case, so that a search for it passes over most of a text at once.
_PROGRESS = re.compile(
    r"(?:steps?|iter(?:ation)?s?|epochs?|rollouts?|episodes?|batchs?)\b\W{0,4}\d|it/s\b|s/it\b|%\|"
)
_BEGINS = re.compile(r"(?:\A|\W)(?:global_?)?\Z")
_LONGEST_BEGINNING = 9
_NO_PROGRESS = re.compile(r"(?i)errors?\b|exception|fail|warn|retry|nan\b|timed? ?out|traceback|killed")
_TEST_PASSED = re.compile(r"(?m)::\S+.* PASSED\b|^PASSED\b|\bPASSED +\[| \.\.\. ok$")
# As much as says that what came before it was survived.
SURVIVED = 3
_AGAIN = re.compile(r"(?i)^\W*(?:\S+ ){0,9}?retry(?:ing)? (?:in|after|attempt|\d)|\[Retry \d+/\d+\]")
# NCCL's WARN and libfabric's <warn> are their levels for errors.
_WARNS = r"(?<!NCCL )(?<!<)\bwarn(?:ing)?s?\b(?! {2,}\w)"
_ANOTHER_TRY = (
    r"(?<!\.)\bretr(?:y|ied|ying)\b(?!\.\w)|(?<!max )(?<!after \d )(?<!after \d\d )\bretries\b"
    r"|(?<!please )(?<!and )try(?:ing)? again(?! later)|\battempt \d+ ?(?:/|of) ?\d+"
    r"|\b(?:tries|attempts) (?:remaining|left)\b"
    r"|back(?:ing)?[ -]?off|fall(?:ing)?[ -]?back|\busing (?:the )?cached\b|\bignor(?:e|ed|ing)\b"
    r"|\bskip(?:ped|ping)\b|\brecovered\b|\bwill reconnect\b"
    r"|\b(?:is|are|was|as|be) expected\b|\bexpected\W*(?:error|failure|$)|\(expected\b"
)
GAVE_UP = r"\b(?:(?:after|in) \d+ (?:attempts|tries|retries)|g[ia]v(?:e|ing) up)\b"
"""Words by which a program tells, in any case of letters, that no other try comes."""
_NO_OTHER_TRY = re.compile(rf"(?i){GAVE_UP}|\b(?:retries exhausted|max retries)\b")
TRIES = re.compile(_ANOTHER_TRY, re.IGNORECASE)
# The page of a package in an index of Python's, and what pip did not find.
_PAGE = re.compile(r"/simple/([\w.-]+)/")
_ASKED_FOR = re.compile(r"(?:requirement|distribution found for) ([\w.-]*\w)")
RETRIED = re.compile(f"{_WARNS}|{_ANOTHER_TRY}", re.IGNORECASE)


def announces(lines: Sequence[str]) -> bool:
    """Whether the last of ``lines`` say that what comes next is tried again, and not of what work went on after."""
    for place, line in enumerate(reversed(lines)):
        if _NO_OTHER_TRY.search(line):
            return False
        # A warning may be of anything; right above it is of what it stands above.
        if (TRIES if place else RETRIED).search(line):
            return True
        if signs_in(line):
            return False
    return False


def signs_in(text: str) -> int:
    """How much in ``text`` says that work goes on."""
    found, low = 0, text.lower()
    for match in _PROGRESS.finditer(low):
        before = low[max(match.start() - _LONGEST_BEGINNING, 0) : match.start()]
        if not (before[-1:].isdecimal() if match[0][0] == "%" else _BEGINS.search(before)):
            continue
        start = low.rfind("\n", 0, match.start()) + 1
        end = low.find("\n", match.end())
        found += not _NO_PROGRESS.search(low, start, end if end >= 0 else len(low))
        if found >= SURVIVED:
            return found
    passed = ("PASSED" in text or "... ok" in text) and _TEST_PASSED.search(text)
    return SURVIVED if passed else found


def tries_again(line: str) -> bool:
    """Whether ``line`` says that what stands right above it is tried again."""
    return _AGAIN.search(line) is not None


def of_another_package(tried: str, not_found: str) -> bool:
    """Whether what pip tried again was about another package than the one that it did not find."""
    page, asked = _PAGE.search(tried), _ASKED_FOR.search(not_found)
    return page is not None and asked is not None and _named(page[1]) != _named(asked[1])


def _named(package: str) -> str:
    """The name of a Python package as an index writes it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()
