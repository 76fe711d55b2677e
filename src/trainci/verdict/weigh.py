"""Pure: what one exception chain or one line of a log says of whose fault it was, before anything is compared."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from trainci.model.diagnosis import Blame, Frame, Kind, LogRule
from trainci.verdict.answers import why_unreadable
from trainci.verdict.clients import EVERY
from trainci.verdict.exceptions import ASSERTIONS, PROGRAM, WITHOUT_HEADER, is_library
from trainci.verdict.hits import COMPARED, Hit, decides, is_started_again, wants_success
from trainci.verdict.last_words import Tail
from trainci.verdict.log_reader import NAMES_A_HOST, Reading
from trainci.verdict.prefixes import is_of_rank
from trainci.verdict.raised import Chain, Raised
from trainci.verdict.went_on import GAVE_UP, SURVIVED


class Weight(enum.IntEnum):
    """How much an exception says by itself: ANY may wrap whatever is below it, PROGRAM is a program's mistake."""

    ANY = 1
    PROGRAM = 2
    ASSERTION = 3


@dataclass(frozen=True)
class Candidate:
    """What may have decided an ending.

    ``survived``: work went on after it, or it was announced as tried again; ``tried_again`` is the latter alone.
    ``told``: a framework says that a test failed by it.
    """

    blame: Blame
    kind: Kind
    rule: str
    meaning: str
    evidence: str
    line: int
    stream: str = ""
    weight: Weight = Weight.ANY
    survived: bool = False
    tried_again: bool = False
    exception: bool = False
    test: str = ""
    captured: bool = False
    told: bool = False
    frames: tuple[Frame, ...] = ()
    sources: tuple[str, ...] = ()


_Judged: TypeAlias = tuple[Blame, Kind, Weight, LogRule | None]

# A mistake's type may wrap what a library said, whose own exception it then quotes.
_QUOTES = {
    "ValueError": re.compile(r"\b\w+(?:Error|Timeout)\(['\"(]|We couldn't connect to"),
    "ImportError": re.compile(r"(?i)stale file handle|input/output error"),
}
# What tells no more than that something else ended, or was not got for all that was tried.
_OF_A_PROCESS = re.compile(
    r"(?i)return ?code|exit[ _]?(?:code|status)|\bexited\b|\.poll\(\)|is_alive\(\)|CompletedProcess"
    r"|(?:process(?: group)?|communicator|worker|rank|peer|node|actor)s? (?:was |is |has |were |are |have )?"
    r"(?:aborted|died|dead|ended|gone|lost|not alive)|\blost (?:a |the )?(?:worker|rank|peer|node|actor)"
    r"|server (?:did not|didn't|failed to|never) (?:start|come up|become)"
    rf"|{GAVE_UP}"
)
# An assertion that asks whether there is a device.
_ASKS_FOR_DEVICE = re.compile(r"\b(?:is_available|device_count)(?: at 0x\w+>)?\(\)")


def of_reading(reading: Reading) -> list[Candidate]:
    """Everything that may have decided, by its place in the log."""
    reading = replace(reading, tail=reading.tail.unfolded())
    found = [_of_chain(chain, reading) for chain in reading.chains]
    found += [_of_hit(hit, reading) for hit in reading.hits if decides(hit, reading.tail)]
    return sorted((_owned(candidate, reading) for candidate in found), key=lambda candidate: candidate.line)


# Who has a port may be named beside it (psutil's cmdline, lsof).
_HOLDER = re.compile(r"(?i)cmdline|used by (?:pid|process) ?\W?\d+")
_PORT = re.compile(r"\b\d{4,5}\b")


def _owned(candidate: Candidate, reading: Reading) -> Candidate:
    """``candidate``, which is unsure if it is about a port that the test may have taken itself."""
    if candidate.rule == "network":
        return _of_own_server(candidate, reading)
    if candidate.rule != "port-in-use":
        return candidate
    ports = _PORT.findall(candidate.evidence) or _PORT.findall(" ".join(candidate.sources))
    if any(_taken_twice(port, candidate.sources) for port in ports):
        return replace(candidate, blame=Blame.CODE, meaning="the test takes the same port twice")
    # What a test printed stands below how it failed.
    said = [line for port, line in reading.served.items() if port in ports or not ports]
    if ports and any(_said_between(line, candidate.line, reading.tail) for line in said):
        return replace(
            candidate, blame=Blame.CODE, meaning="what this run started before, by its log, has the port"
        )
    served = any(line < candidate.line for line in said) or bool(candidate.test and said)
    if not served and not _HOLDER.search(candidate.evidence):
        return candidate
    meaning = "a process has the port, and by the log it may be one that the test itself started"
    return replace(candidate, blame=Blame.UNSURE, meaning=meaning)


def _said_between(served: int, failed: int, tail: Tail) -> bool:
    """Whether anything but a traceback stands between who serves a port and who failed to get it.

    Many say that they serve right before they try to.
    """
    between = tail.before(failed).after(served) if served >= tail.first else ["said long before"]
    return served < failed and any(line.strip() and not line.startswith((" ", "Traceback")) for line in between)


def _taken_twice(port: str, sources: Sequence[str]) -> bool:
    """Whether the source of a test hands the same port to the same function more than once."""
    calls = re.findall(rf"(\b\w+)\(+(?:[^()]*?\W)?{port}\b", "; ".join(dict.fromkeys(sources)))
    return len(calls) != len(set(calls))


def _of_own_server(candidate: Candidate, reading: Reading) -> Candidate:
    """``candidate``, which is unsure if it names no host and the log says that the test has a server of its own."""
    if (
        NAMES_A_HOST.search(candidate.evidence)
        or min(reading.served.values(), default=candidate.line) >= candidate.line
    ):
        return candidate
    meaning = "a connection failed, and by the log it may be one to a server that the test itself started"
    return replace(candidate, blame=Blame.UNSURE, kind=Kind.CONSEQUENCE, meaning=meaning)


def _of_hit(hit: Hit, reading: Reading) -> Candidate:
    rule, compared = hit.rule, hit.rule.name == COMPARED
    asked = compared and wants_success(hit, reading.tail)
    went_on = reading.progress - hit.progress >= SURVIVED
    weight = Weight.PROGRAM if rule.blame is Blame.CODE and not asked else Weight.ANY
    retried = hit.retried or is_started_again(hit, reading.tail)
    return Candidate(
        rule.blame,
        Kind.CONSEQUENCE if asked else rule.kind,
        rule.name,
        rule.meaning,
        hit.line.text.strip(),
        hit.line.number,
        hit.line.stream,
        Weight.ASSERTION if compared and not asked else weight,
        survived=(retried or went_on) and not compared,
        tried_again=retried and not went_on,
        captured=hit.captured,
        told=hit.told,
    )


# What is looked for and is not there is often made here then (a wheel): how that ended is what counts.
_ABSENT = frozenset({"url-not-found", "hub-not-found", "package-not-found"})


def _made_instead(rule: LogRule | None, later: Sequence[_Judged]) -> bool:
    """Whether something was not there, and a process that ended badly was begun for it."""
    return (
        rule is not None
        and rule.name in _ABSENT
        and any(one[3] is not None and one[3].name == "process-ended" for one in later)
    )


# How a task is told that nobody waits for it any more, and ray that one failed: why, what is beside it says.
_TELLS_NOTHING = ("CancelledError", WITHOUT_HEADER)


def _of_chain(chain: Chain, reading: Reading) -> Candidate:
    judged = [_of_raised(raised) for raised in chain.raised]
    last = judged[-1]
    if last[2] is Weight.ASSERTION and last[1] is Kind.CAUSE:
        # Of one that another process brought here, as it was raised there.
        index = next(i for i, one in enumerate(chain.raised) if one.text == chain.raised[-1].text)
    else:
        # What a rule knows tells more than what none does, a cause more than a consequence, and of these one that
        # says whose it is more than one that does not.
        # A group says how many others there are, ray where it was.
        index = min(
            (i for i, one in enumerate(judged) if not _made_instead(one[3], judged[i + 1 :])),
            key=lambda i: (
                chain.raised[i].name in _TELLS_NOTHING,
                judged[i][1] is not Kind.CAUSE,
                judged[i][3] is None,
                judged[i][1] is not Kind.CAUSE and judged[i][0] is Blame.UNSURE,
                chain.raised[i].name.endswith(("ExceptionGroup", WITHOUT_HEADER)),
                i,
            ),
        )
    blame, kind, weight, rule = judged[index]
    raised = chain.raised[index]
    answer = None if blame is Blame.MACHINE else why_unreadable(chain, raised, reading.hits, reading.tail)
    if answer:
        blame, kind, weight, rule = Blame.MACHINE, Kind.CAUSE, Weight.ANY, answer.rule
    # Of one that a library raised and caught, the place is that of those which it led to.
    nearest = (*reversed(chain.raised[: index + 1]), *chain.raised[index + 1 :])
    # pytest's have failed their test. torch prints what nobody caught under its rank, and a launcher everything.
    uncaught = bool(chain.test) or is_of_rank(chain.stream)
    may_go_on = not uncaught or (chain.retried and not chain.test)
    went_on = may_go_on and reading.progress - chain.progress >= SURVIVED
    tried_again = not uncaught and _is_tried_again(chain, reading, weight)
    return Candidate(
        blame,
        kind,
        rule.name if rule else ("assertion" if weight is Weight.ASSERTION else "exception"),
        rule.meaning if rule else _meaning(weight),
        answer.line.text.strip() if answer else raised.told,
        answer.line.number if answer else raised.told_at,
        chain.stream,
        weight,
        survived=chain.ignored or went_on or tried_again,
        tried_again=tried_again and not went_on,
        exception=True,
        test=chain.test,
        captured=chain.captured,
        frames=(
            *next((one.frames for one in nearest if one.frames), ()),
            *(raised.inner.frames if raised.inner else ()),
        ),
        sources=raised.sources,
    )


def _is_tried_again(chain: Chain, reading: Reading, weight: Weight) -> bool:
    """Whether the log says that the exception was one of several tries.

    Nobody tries a program's mistake again: what said so before it was about something else.
    """
    return chain.retried and weight is Weight.ANY and reading.told - chain.told >= SURVIVED


def _meaning(weight: Weight) -> str:
    if weight is Weight.ASSERTION:
        return "an assertion of the test failed"
    return "the program raised an exception that is no machine's"


# Libraries that raise their exceptions themselves, and the system's errors: a program that does so plays them.
_OF_OTHERS = re.compile(rf"(?:{EVERY})\.|\w*Error: \[Errno ")


# The system's errors, which a test raises itself to see what becomes of them.
_SYSTEMS = re.compile(r"(?:Connection\w*|Timeout|OS|IO|BrokenPipe|Permission|FileNotFound)Error\b")
_TESTS_FILE = re.compile(r"(?:^|/)(?:conftest|test_\w+|\w+_test)\.py$")


# What is looked for by its name in the environment, where a test may have put another.
_LOOKED_FOR = re.compile(r"No (?:CUDA|HIP) GPUs are available|no CUDA-capable device")
_MAKES = re.compile(r"\braise ([\w.]+)\(")
_LITERAL = re.compile(r"\"([^\"]{12,})|'([^']{12,})")


def _in_a_tests_file(raised: Raised) -> bool:
    return bool(raised.frames and _TESTS_FILE.search(raised.frames[-1].file))


def _raised_by_test(raised: Raised) -> bool:
    """Whether a line of a test's own file raises what else the system does."""
    return bool(_SYSTEMS.match(raised.text)) and _in_a_tests_file(raised)


def _says_itself(raised: Raised) -> bool:
    """Whether a line of a test's own file makes what else a library does, or says it in its own words."""
    made = _MAKES.search(raised.raising)
    if not raised.own or made is None or not _in_a_tests_file(raised) or _LOOKED_FOR.search(raised.text):
        return False
    literals = (double or single for double, single in _LITERAL.findall(raised.raising))
    return "." in made[1] or any(literal in raised.text for literal in literals)


def _plays(raised: Raised) -> bool:
    """Whether a test brought it about itself: by a stand-in, or by raising what others do."""
    if raised.played and ("." in raised.type or _LOOKED_FOR.search(raised.text)):
        return True
    return raised.own and (_OF_OTHERS.match(raised.text) is not None or _raised_by_test(raised))


def _of_raised(raised: Raised) -> _Judged:
    if _plays(raised):
        return Blame.CODE, Kind.CAUSE, Weight.PROGRAM, None
    weight = _weight(raised)
    if (
        not raised.own
        and weight is Weight.PROGRAM
        and (quotes := _QUOTES.get(raised.name))
        and quotes.search(raised.text)
    ):
        weight = Weight.ANY
    rule = next((rule for rule, names_type in raised.fits if _speaks(rule, weight, names_type)), None)
    if rule and rule.kind is Kind.CAUSE and _says_itself(raised):
        return Blame.CODE, Kind.CAUSE, Weight.PROGRAM, None
    if rule is None and not raised.type and raised.text.startswith(("FAILED ", "ERROR ")):
        return Blame.CODE, Kind.CONSEQUENCE, weight, None  # pytest's summary names a test, and no reason
    if rule is None:
        said = " ".join([raised.text, *raised.message])
        of_a_process = (weight is not Weight.PROGRAM or raised.name in ASSERTIONS) and (
            _OF_A_PROCESS.search(said) or _ASKS_FOR_DEVICE.search(f"{raised.asserts} {said}")
        )
        return Blame.CODE, Kind.CONSEQUENCE if of_a_process else Kind.CAUSE, weight, None
    if rule.blame is Blame.CODE and rule.kind is Kind.CAUSE:
        weight = max(weight, Weight.PROGRAM)
    return rule.blame, rule.kind, weight, rule


def _speaks(rule: LogRule, weight: Weight, names_type: bool) -> bool:
    """Whether a rule may explain an exception: a program's mistake only by its type, not by what it quotes."""
    if rule.blame is Blame.CODE and rule.kind is Kind.CAUSE:
        return True
    return weight is Weight.ANY or names_type


def _weight(raised: Raised) -> Weight:
    if raised.name in ASSERTIONS:
        # What a library asserts of its own is no test's word, other than of those that compare for tests.
        asserts = is_library(raised.inner_file) and "test" not in raised.inner_file
        return Weight.PROGRAM if asserts else Weight.ASSERTION
    return Weight.PROGRAM if raised.name in PROGRAM or raised.name.endswith(_MISTAKES) else Weight.ANY


# A type of a library's own is named after the one that it is of; what looks names up in a network is none.
_MISTAKES = tuple(PROGRAM - {"LookupError"})
