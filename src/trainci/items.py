"""What pytest says of the single tests of a file, read from the JUnit XML that it wrote. Pure.

Format: https://docs.pytest.org/en/stable/how-to/output.html#creating-junitxml-format-files (family xunit2).
The file is written by code of the repository, so it may hold anything: it is bounded, and no entity is resolved.
"""

from __future__ import annotations

import xml.parsers.expat
from dataclasses import dataclass, field

from trainci.model.run import Item
from trainci.text import printable, shortened

LARGEST_FILE = 64 << 20
_LONGEST_MESSAGE = 2000
LONGEST_NAME = 1000
MOST_ITEMS = 100_000
# Nothing took as long: 31 years.
_LONGEST_S = 1e9
# The element in a testcase, and what it means. pytest writes an error where a fixture or the collection failed.
_OUTCOMES = {"failure": "failed", "error": "error", "skipped": "skipped"}
_SEVERITY = ("passed", "skipped", "failed", "error")
# What became of a test that other writers say in an attribute alone (googletest's `status` and `result`).
_NOT_RUN = frozenset({"notrun", "suppressed", "disabled", "skipped", "ignored", "pending"})
_NOT_PASSED = frozenset({"failed", "failure", "fail", "error", "errored", "broken", "timedout", "timeout"})
# Failed first, and passed when it was tried again (Maven's Surefire, cargo-nextest, trainci).
_FLAKY = ("flakyFailure", "flakyError")


class BrokenResults(ValueError):
    """The text is no JUnit XML, or more of it than is read."""


@dataclass(frozen=True)
class Report:
    """A JUnit file: its items, and in its own words when it was made and of which commit, empty where unsaid.

    ``flaky`` names the items that passed only when they were tried again.
    """

    items: tuple[Item, ...]
    timestamp: str
    commit: str
    flaky: frozenset[str] = frozenset()


def read_junit(data: bytes) -> Report:
    """A JUnit file, its items in their order; several elements for one (it failed, and its teardown) are one.

    :raises BrokenResults: it is none, holds a document type, or is larger than LARGEST_FILE.
    """
    if len(data) > LARGEST_FILE:
        raise BrokenResults(f"it is larger than {LARGEST_FILE >> 20} MiB")
    reader = _Reader()
    parser = xml.parsers.expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
    except BrokenResults:
        raise
    # Not an ExpatError: it names an encoding that nobody knows, or that a parser cannot take.
    except (xml.parsers.expat.ExpatError, LookupError, ValueError) as error:
        raise BrokenResults(f"it is no XML: {error}") from None
    if not reader.is_junit:
        raise BrokenResults("it is XML, and no JUnit report")
    items = tuple(reader.items.values())
    flaky = frozenset(item.name for item in items if item.outcome == "passed") & reader.flaky
    return Report(items, reader.timestamp, reader.commit, flaky)


def item_name(said: str) -> str:
    """What an item is called that a file calls so: one line, and not too long for a table."""
    return printable(shortened(said, LONGEST_NAME))


def counts(items: tuple[Item, ...]) -> dict[str, int]:
    """How many items ended how, worst last; outcomes that none had are left out."""
    found = {outcome: sum(item.outcome == outcome for item in items) for outcome in _SEVERITY}
    return {outcome: count for outcome, count in found.items() if count}


@dataclass
class _Reader:
    """Takes the parser's events; keeps the worst outcome of each item."""

    items: dict[str, Item] = field(default_factory=dict)
    flaky: set[str] = field(default_factory=set)
    is_junit: bool = False
    timestamp: str = ""
    commit: str = ""
    _name: str = ""
    _seconds: float = 0.0
    _outcome: str = "passed"
    _message: str = ""
    _inside: bool = False

    def doctype(self, *_: object) -> None:
        raise BrokenResults("it declares a document type, which pytest never writes")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag in ("testsuite", "testsuites"):
            self.is_junit = True
            self.timestamp = self.timestamp or attributes.get("timestamp", "")
        elif tag == "property" and attributes.get("name") == "commit":
            self.commit = self.commit or attributes.get("value", "")
        elif tag == "testcase":
            where, name = attributes.get("classname", ""), attributes.get("name", "")
            self._name = item_name("::".join(part for part in (where, name) if part))
            self._seconds = _seconds(attributes.get("time", ""))
            self._outcome, self._message, self._inside = _said(attributes), "", False
        elif tag in _FLAKY:
            self.flaky.add(self._name)
        elif tag in _OUTCOMES:
            self._inside = True
            outcome = _OUTCOMES[tag]
            if _SEVERITY.index(outcome) > _SEVERITY.index(self._outcome):
                self._outcome = outcome
            # A line of its own: what the element holds comes below it.
            self._message = self._message or attributes.get("message", "")[:_LONGEST_MESSAGE] + "\n"

    def end(self, tag: str) -> None:
        if tag in _OUTCOMES:
            self._inside = False
        elif tag == "testcase":
            self._keep(Item(self._name, self._outcome, self._seconds, self._message.strip()))

    def text(self, data: str) -> None:
        if self._inside and len(self._message) < _LONGEST_MESSAGE:
            self._message += data[: _LONGEST_MESSAGE - len(self._message)]

    def _keep(self, item: Item) -> None:
        known = self.items.get(item.name)
        if known is None and len(self.items) >= MOST_ITEMS:
            raise BrokenResults(f"it holds more than {MOST_ITEMS} tests")
        if known is None or _SEVERITY.index(item.outcome) > _SEVERITY.index(known.outcome):
            self.items[item.name] = item


def _said(attributes: dict[str, str]) -> str:
    """The outcome that a test's own attributes tell, passed where they tell none."""
    said = {attributes.get(name, "").lower() for name in ("status", "result")}
    return "failed" if said & _NOT_PASSED else "skipped" if said & _NOT_RUN else "passed"


def _seconds(text: str) -> float:
    # Surefire writes a number as its language does: 1,234.5 or 0,5.
    text = text.replace(",", "" if "." in text else ".")
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 <= value < _LONGEST_S else 0.0
