"""Pure: whose fault an ending was, from the log's reading and the facts that are known.

The first cause counts, not the last line: of several failures the earliest that is no consequence of another's and
was not survived. A test that asserts is the code's, whatever its output says of networks and disks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from trainci.model.diagnosis import EXIT_CODE, LAST_WORDS, Blame, Diagnosis, Facts, Frame, Kind
from trainci.model.run import Outcome
from trainci.verdict import circumstances
from trainci.verdict.bearing import Bearing, bearing
from trainci.verdict.dumps import crashed_at
from trainci.verdict.follows import leads_to
from trainci.verdict.hits import COMPARED
from trainci.verdict.last_words import (
    Tail,
    Words,
    completed,
    deepest,
    last_line,
    last_words,
    named_in,
    printed_last,
    thrown_at,
)
from trainci.verdict.limits import explained
from trainci.verdict.log_reader import Reading
from trainci.verdict.pytest_report import TEARDOWN
from trainci.verdict.weigh import Candidate, Weight, of_reading
from trainci.verdict.went_on import of_another_package

# A warning this near to the end may be what ended it.
_NEAR = 60
# Where nothing says more than that it ended, a lone line of another try did not end what printed more below it.
_LAST_LINES = 3
# Rules for an ending that is the program's own, of which no line that a rule knows tells more.
_ENDED_BY_ITSELF = (EXIT_CODE, "crash")
PASSED = "passed"
# What was to be got, of which the lines right below may say why it was not.
_FETCHES = frozenset({"package-index", "git-fetch", "container-engine", "hub-error", "network"})
_LINES_BELOW = 4
# What says no more than that a process ended, and what the host, or a server that is none of the job's, says.
_ENDED = ("rank-ended", "process-ended", COMPARED)
_HOST_SAYS = ("host-reports", "remote-not-reached")


def diagnose(reading: Reading, facts: Facts, root: str = "") -> Diagnosis:
    """Whose fault it was that an attempt did not pass, and of which lines nobody knows what they say.

    ``root`` is the repository's, where it is known: a place outside of it is none to show.
    """
    found = explained(_diagnosed(reading, facts, root), reading.tail, root)
    if not reading.unread:
        return found
    alike = f"{reading.unread} of {reading.lines} lines, each in the words of many before it, were not read"
    return replace(found, sentence=f"{found.sentence} ({alike})")


def _diagnosed(reading: Reading, facts: Facts, root: str) -> Diagnosis:
    found = circumstances.judge(of_reading(reading), facts)
    decided = _from_log(found, reading)
    if decided is None and reading.passed and facts == Facts():
        return Diagnosis(Blame.UNSURE, PASSED, "every test passed, as pytest says")
    diagnosis = _with_facts(decided, facts, reading.tail)
    first = decided[0] if isinstance(decided, tuple) else decided
    if first is None:
        return _in_its_own_words(diagnosis, reading.tail, root)
    if diagnosis.line != first.line:
        return diagnosis
    if said := _said_before(first, reading):
        frame = deepest(said.frames or first.frames, root)
        return replace(diagnosis, evidence=said.text, line=said.line, frame=frame)
    below = reading.tail.after(first.line)
    frames = first.frames or crashed_at(below) or thrown_at(below)
    if not frames and _is_code(first) and not first.exception:
        frames = named_in(first.evidence)
    frame = deepest(frames, root) or _led_to(first, found, root)
    evidence = diagnosis.evidence if first.exception else completed(diagnosis.evidence, below)
    return replace(diagnosis, evidence=evidence, frame=frame)


def _led_to(first: Candidate, found: Sequence[Candidate], root: str) -> Frame | None:
    """Where the last exception was raised after ``first``, which has no place that can be shown."""
    raised = [one for one in reversed(found) if one.exception and not one.survived]
    later = [one for one in raised if one.line > first.line]
    if not first.exception:
        later = [one for one in later if one.line - first.line <= _NEAR and one.stream in (first.stream, "")]
    # What pytest kept of a test's output stands below what failed in it.
    near = [one for one in raised if one.line < first.line and one.test] if first.captured else later
    return next((frame for one in near if (frame := deepest(one.frames, root))), None)


def _in_its_own_words(diagnosis: Diagnosis, tail: Tail, root: str) -> Diagnosis:
    """With what the program said of why it ended by itself, or at least what it said last."""
    if diagnosis.rule not in _ENDED_BY_ITSELF:
        return diagnosis
    if said := last_words(tail):
        rule = LAST_WORDS if diagnosis.rule == EXIT_CODE else diagnosis.rule
        frame = deepest(said.frames, root)
        return replace(diagnosis, rule=rule, evidence=said.text, line=said.line, frame=frame)
    if diagnosis.rule == EXIT_CODE and (said := last_line(tail)):
        return replace(diagnosis, evidence=said.text, line=said.line)
    return diagnosis


def _said_before(first: Candidate, reading: Reading) -> Words | None:
    """What tells more: of what only says that a process or a test failed, what that one said, or what ended it."""
    if first.rule == COMPARED:
        return last_words(reading.tail)
    signal = reading.root.signal if reading.root else None
    if signal and "exitcode" in first.evidence:
        return Words(signal.text, signal.number)
    if first.kind is Kind.CONSEQUENCE and first.blame in (Blame.CODE, Blame.CONFIG) and not first.test:
        return last_words(reading.tail.before(first.line))
    return None


def outcome_of(diagnosis: Diagnosis, facts: Facts) -> Outcome:
    """What became of a single attempt."""
    if (facts.exit_code == 0 and not (facts.timed_out or facts.hung or facts.signal)) or diagnosis.rule == PASSED:
        return Outcome.PASSED
    if diagnosis.blame is Blame.MACHINE:
        return Outcome.MACHINE
    if facts.hung or diagnosis.rule == "hung":
        return Outcome.HUNG
    if facts.timed_out:
        return Outcome.TIMED_OUT
    return Outcome.UNSURE if diagnosis.blame is Blame.UNSURE else Outcome.FAILED


def _from_log(found: Sequence[Candidate], reading: Reading) -> Candidate | tuple[Candidate, Candidate] | None:
    """What decided; two that stand against each other; nothing."""
    live = [candidate for candidate in found if not candidate.survived]
    tests = [candidate for candidate in live if candidate.test]
    if tests:
        return _of_tests(tests, found)
    if not any(one.rule == COMPARED and one.kind is Kind.CONSEQUENCE for one in live):
        found, live = ([one for one in each if not one.captured] for each in (found, live))
    causes = [candidate for candidate in live if candidate.kind is Kind.CAUSE]
    code = _first(causes, lambda one: one.weight is Weight.ASSERTION and _is_code(one)) or _first(causes, _is_code)
    if code and code.weight is Weight.ASSERTION:
        return _below(code, causes) or code
    machine = _first(causes, lambda candidate: candidate.blame in (Blame.MACHINE, Blame.CONFIG))
    if code and machine:
        return _below(code, causes) or _of_root(causes, reading) or _between(code, machine)
    if decided := code or (machine and _why(machine, causes)) or _first(causes):
        return decided
    return _without_cause(found, live, reading)


def _why(machine: Candidate, causes: Sequence[Candidate]) -> Candidate:
    """What tells more, right below a line that only says what was not got."""
    if machine.exception or machine.rule not in _FETCHES:
        return machine
    below = (one for one in causes if machine.line < one.line <= machine.line + _LINES_BELOW and not one.exception)
    return next((one for one in below if one.blame is Blame.CONFIG and one.stream == machine.stream), machine)


def _of_root(causes: Sequence[Candidate], reading: Reading) -> Candidate | None:
    """The first cause of the rank that a launcher saw fail first, if it is told apart from the others."""
    if (root := reading.root) is None:
        return None
    return _first(causes, lambda candidate: candidate.exception and _of_rank(candidate, root.rank))


def _of_tests(tests: Sequence[Candidate], found: Sequence[Candidate]) -> Candidate | None:
    """Tests of one file fail each for itself: one that fails by the code is enough."""
    # What fails while a test is cleaned up is reported first, and follows from what failed in it.
    tests = [candidate for candidate in tests if not candidate.test.startswith(TEARDOWN)] or tests
    causes = [candidate for candidate in tests if candidate.kind is Kind.CAUSE]
    if code := _first(causes, _is_code):
        sound = _first(causes, lambda one: _is_code(one) and not _below(one, found))
        return sound or _below(code, found)
    unsure = _first(causes, lambda candidate: candidate.blame is Blame.UNSURE)
    if causes and len(causes) == len(tests):
        return _below(unsure or causes[0], found) or unsure or causes[0]
    # A test that only reports how a process ended: what that one printed tells why.
    beside = [candidate for candidate in found if not candidate.test and not candidate.survived]
    below = [candidate for candidate in beside if candidate.kind is Kind.CAUSE]
    if code := _first(below, _is_code):
        return _below(code, found) or code
    decided = causes[0] if causes else _first(below)
    return decided or _first(beside, lambda candidate: candidate.rule == "test-worker-ended") or tests[0]


def _below(code: Candidate, found: Sequence[Candidate]) -> Candidate | None:
    """What is not the code's fault and leads to ``code``, for all that it says of the program."""
    live = [one for one in found if one.blame is not Blame.CODE and not one.survived]
    return _first(live, lambda one: leads_to(one, code))


def _between(code: Candidate, machine: Candidate) -> Candidate | tuple[Candidate, Candidate]:
    """Which of two causes counts, or both."""
    if code.line < machine.line:
        handled = machine.exception and code.exception and code.stream == machine.stream
        return (code, machine) if handled and code.weight is Weight.ANY else code
    if not machine.exception:
        return code if code.weight is Weight.PROGRAM else (machine, code)
    if code.exception and code.stream != machine.stream and code.weight is Weight.ANY:
        return machine
    return (machine, code) if code.stream != machine.stream or code.weight is Weight.ANY else code


def _without_cause(
    found: Sequence[Candidate], live: Sequence[Candidate], reading: Reading
) -> Candidate | tuple[Candidate, Candidate] | None:
    """Where no cause stands: a warning that nothing came after, or what the consequences say by themselves."""
    if silent := _ended_silently(live, reading):
        return silent
    consequence = _first(live, lambda candidate: candidate.rule != "tracker")
    if consequence and (consequence.blame is Blame.UNSURE or consequence.rule in _ENDED):
        # Why it ended, or who went away, is not said there; the host may say it of itself.
        consequence = _first(live, _host_says) or _told_below(consequence, live)
    end, asked = (consequence.line, consequence.evidence) if consequence else (reading.end, "")
    tells = consequence is not None and consequence.rule not in _ENDED
    warned = [
        candidate
        for candidate in found
        if candidate.tried_again
        and not (candidate.line < end and of_another_package(candidate.evidence, asked))
        and (candidate.kind is Kind.CAUSE or candidate.exception)
        and candidate.blame in (Blame.MACHINE, Blame.CONFIG)
        and end - candidate.line <= (_NEAR if tells or candidate.exception else _LAST_LINES)
    ]
    if warned:
        return warned[-1]
    return consequence or _first(live)


def _told_below(ended: Candidate, live: Sequence[Candidate]) -> Candidate:
    """What an exception says whose first line tells only that something ended, as C++'s does; else ``ended``."""
    reach = 1 if ended.rule in _ENDED else _LINES_BELOW if ended.exception else 0
    below = (one for one in live if ended.line < one.line <= ended.line + reach and one.rule not in _ENDED)
    return next((one for one in below if reach == 1 or not (one.exception or one.blame is Blame.UNSURE)), ended)


def _ended_silently(live: Sequence[Candidate], reading: Reading) -> Candidate | None:
    """The rank that failed first, by a launcher's report, if it ended by itself and raised nothing."""
    root = reading.root
    if (
        root is None
        or root.exit_code <= 0
        or any(candidate.exception and _of_rank(candidate, root.rank) for candidate in live)
    ):
        return None
    reports = [candidate for candidate in live if not candidate.exception and candidate.line == root.line.number]
    if not reports or not any(candidate.exception and "rank" in candidate.stream for candidate in live):
        return None
    return replace(reports[0], meaning=f"rank {root.rank} ended by itself, first, with exit code {root.exit_code}")


def _host_says(candidate: Candidate) -> bool:
    """Whether it is about the host; a tracker that is not reached is, where that ended the program."""
    return candidate.rule in _HOST_SAYS or (candidate.rule == "tracker" and candidate.exception)


def _of_rank(candidate: Candidate, rank: str) -> bool:
    return f"[rank{rank}]" in candidate.stream or f"[default{rank}]" in candidate.stream


def _with_facts(decided: Candidate | tuple[Candidate, Candidate] | None, facts: Facts, tail: Tail) -> Diagnosis:
    known = circumstances.of_machine(facts)
    if isinstance(decided, tuple):
        first, second = decided
        if known and Blame.MACHINE in (first.blame, second.blame):
            return known
        return _both(first, second)
    if known is None and facts.timed_out and decided and decided.kind is Kind.CONSEQUENCE and _is_code(decided):
        # What a launcher says of processes that the time limit ended is no reason for it.
        return circumstances.of_ending(facts)
    alone = _diagnosis(decided) if decided else circumstances.of_ending(facts, printed_last(tail))
    if known is None:
        return alone
    said = None if facts.signal or facts.timed_out or facts.hung else last_words(_before(tail, decided))
    found = bearing(known.rule, decided, said)
    if found is Bearing.EXPLAINS:
        return known
    if found is Bearing.NONE:
        return alone
    evidence, line = (said.text, said.line) if said and not decided else (alone.evidence, alone.line)
    sentence = f"two readings stand: {alone.sentence}; or {known.sentence}"
    return Diagnosis(Blame.UNSURE, known.rule, sentence, evidence, line)


def _before(tail: Tail, decided: Candidate | None) -> Tail:
    return tail.before(decided.line) if decided and decided.kind is Kind.CONSEQUENCE else tail


def _both(first: Candidate, second: Candidate) -> Diagnosis:
    sentence = (
        f"two readings stand: {first.meaning}; or {second.meaning} (line {second.line}: {second.evidence[:200]})"
    )
    return Diagnosis(Blame.UNSURE, first.rule, sentence, first.evidence, first.line)


def _diagnosis(decided: Candidate) -> Diagnosis:
    return Diagnosis(decided.blame, decided.rule, decided.meaning, decided.evidence, decided.line)


def _is_code(candidate: Candidate) -> bool:
    return candidate.blame is Blame.CODE


def _first(candidates: Sequence[Candidate], fits: Callable[[Candidate], bool] = lambda _: True) -> Candidate | None:
    return next((candidate for candidate in candidates if fits(candidate)), None)
