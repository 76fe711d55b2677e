"""JUnit XML, for whatever reads it: GitHub's and GitLab's test tabs, dashboards."""

from __future__ import annotations

import io
import re
from datetime import datetime, timezone
from pathlib import Path

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from junitparser.xunit2 import FlakyFailure

from trainci.host import files
from trainci.model.run import Item, Outcome, Result, Run
from trainci.reports import items_of, last_lines, telling_lines
from trainci.reports.reason import particulars, reason
from trainci.reports.words import quarantine_entry
from trainci.verdict.decide import fails

_MOST_OUTPUT = 65536
_MOST_ITEMS = 100_000
_TELLING_LINES = 50
# What went wrong in the test itself; anything else is an error, by JUnit's words.
_OF_TESTS = (Outcome.FLAKY, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.HUNG, Outcome.UNSURE)
# XML 1.0 has no way to write these characters, not even escaped (https://www.w3.org/TR/xml/#charsets).
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(run: Run, root: Path, target: Path) -> None:
    """Write ``run`` to ``target``, whole or not at all. Logs are read below ``root``."""
    target.parent.mkdir(parents=True, exist_ok=True)
    files.replace(target, junit(run, root))


def junit(run: Run, root: Path) -> bytes:
    """The report of ``run``, whose logs are below ``root``."""
    suite = TestSuite("trainci")
    suite.timestamp = datetime.fromtimestamp(run.started_at, timezone.utc).isoformat(timespec="seconds")
    suite.add_property("commit", _text(run.commit) or "none")
    suite.add_property("devices", _text(run.devices))
    # All of them at once: each call counts again all that are there.
    suite.add_testcases([case for result in run.results for case in _cases(run, result, root)])
    document = JUnitXml("trainci")
    document.add_testsuite(suite)
    document.update_statistics()
    content = io.BytesIO()
    document.write(content)
    return content.getvalue()


def _cases(run: Run, result: Result, root: Path) -> list[TestCase]:
    return [_case(run, result, root), *(_item(result, item) for item in items_of(result, _MOST_ITEMS)[0])]


def _case(run: Run, result: Result, root: Path) -> TestCase:
    name = _text(result.test_id)
    case = TestCase(name, classname=_text(result.test_id.partition("[")[0]))
    case.time = round(sum(attempt.duration for attempt in result.attempts), 3)
    outcome = result.verdict.outcome
    sentence = _text(reason(result.verdict))
    output = "\n".join(last_lines(root / result.attempts[-1].log, 1000)) if result.attempts else ""
    if outcome is Outcome.SKIPPED:
        case.result = [Skipped(sentence)]
    elif result.verdict.excused:
        case.result = [Skipped(f"{_text(result.verdict.excused)}; {outcome.value}: {sentence}")]
    elif outcome is Outcome.FLAKY and not fails(result):
        # Surefire's word (maven-surefire-plugin's XSD) for what failed and passed then; the test has passed.
        flaky = FlakyFailure(sentence, outcome.value)
        flaky.text = _text(_body(run, result, root))
        case.append(flaky)
    elif outcome is not Outcome.PASSED:
        kind = Failure if outcome in _OF_TESTS else Error
        case.result = [kind(sentence, outcome.value)]
        case.result[0].text = _text(_body(run, result, root))
    if output:
        case.system_out = _text(output[-_MOST_OUTPUT:])
    if replay := run.replay.get(result.test_id):
        case.system_err = _text(f"replay: {replay}")
    return case


def _body(run: Run, result: Result, root: Path) -> str:
    """The reason and all that tells why, as a terminal shows it."""
    lines = [reason(result.verdict), *(f"{label}: {text}" for label, text in particulars(result.verdict))]
    if result.attempts:
        log = result.attempts[-1].log
        lines += ["", *telling_lines(root / log, result.verdict.diagnosis, _TELLING_LINES), "", f"log: {log}"]
    if replay := run.replay.get(result.test_id):
        lines.append(f"replay: {replay}")
    if known_bad := quarantine_entry(result, run):
        lines += ["", "known to be bad? In trainci.toml:", known_bad]
    return "\n".join(lines)


def _item(result: Result, item: Item) -> TestCase:
    """An item, in the class of its test."""
    case = TestCase(_text(item.name), classname=_text(result.test_id))
    case.time = round(item.seconds, 3)
    message = _text(item.message)
    if item.outcome == "failed":
        case.result = [Failure(message, "failed")]
    elif item.outcome == "skipped":
        case.result = [Skipped(message)]
    elif item.outcome == "error":
        case.result = [Error(message, "error")]
    return case


def _text(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
