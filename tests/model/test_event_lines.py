"""The lines of the event log: every event comes back as it was, and what is no event is told."""

from __future__ import annotations

import enum
import json
import types
from dataclasses import fields
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.model import events
from trainci.model.event_lines import KINDS, read_event, write_event
from trainci.model.run import Cause, Ending, Phase
from trainci.model.seen import Seen

# With what stands for bytes that are no UTF-8, as in a file's name or a log.
_CHARACTERS = st.characters(exclude_categories=["Cs"]) | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)
_PLAIN = {
    str: st.text(_CHARACTERS),
    int: st.integers(-(1 << 63) + 1, (1 << 63) - 1),
    types.NoneType: st.none(),
    float: st.floats(allow_nan=False, allow_infinity=False),
}

_TIMES = st.floats(0, 1 << 36, exclude_max=True)


def _values(wanted: Any) -> st.SearchStrategy[Any]:
    """Any value of the type of a field."""
    if wanted in _PLAIN:
        return _PLAIN[wanted]
    if isinstance(wanted, types.UnionType):
        return st.one_of(
            *(st.none() if option is types.NoneType else _values(option) for option in get_args(wanted))
        )
    if get_origin(wanted) is tuple:
        return st.lists(_values(get_args(wanted)[0])).map(tuple)
    if isinstance(wanted, types.UnionType):
        return st.one_of(*map(_values, get_args(wanted)))
    if issubclass(wanted, enum.Enum):
        return st.sampled_from(wanted)
    hints = get_type_hints(wanted)
    return st.builds(wanted, **{name: _TIMES if name == "at" else _values(hint) for name, hint in hints.items()})


_ENDED = events.Ended(1.5, "a.py", 1, Phase.EXECUTE, Ending(Cause.TIMED_OUT, None, 15, "why"))


def test_every_kind_of_the_family_has_a_name():
    assert set(KINDS.values()) == set(get_args(events.Control))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_every_event_comes_back_from_its_line_as_it_was(kind, data):
    event = data.draw(_values(KINDS[kind]))
    line = write_event(event)
    assert "\n" not in line and line.isascii()
    assert json.loads(line)["kind"] == kind
    assert read_event(line) == event == read_event(line.encode())


def test_a_line_is_plain_json_with_the_words_of_the_causes_and_phases():
    said = json.loads(write_event(_ENDED))
    seen = dict.fromkeys((one.name for one in fields(Seen)), None)
    ending = {"cause": "timed out", "exit_code": None, "signal": 15, "detail": "why", "seen": seen}
    head = {"kind": "ended", "at": 1.5, "test_id": "a.py", "attempt": 1, "phase": "execute"}
    assert said == {**head, "ending": ending, "results": None, "diagnosis": None, "measured": [], "failures": []}


def test_an_older_line_without_what_came_later_is_read():
    planned = {"test_id": "a", "gpus": 1, "reason": ""}
    line = {"kind": "run_started", "at": 1.0, "run_id": "r", "commit": "", "devices": "", "tests": [planned]}
    event = read_event(json.dumps(line))
    assert isinstance(event, events.RunStarted) and event.tests[0].replay == ""


@pytest.mark.parametrize("at", [float("nan"), float("inf")])
def test_a_time_that_is_none_is_not_written(at):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_event(events.Interrupted(at))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "Expecting value"),
        (b"\xff\xfe\x00", "not an event"),
        ("[" * 100_000, "nested too deeply"),
        ("[1]", "a list instead of an object"),
        ("null", "null instead of an object"),
        ("{}", "the kind None is unknown"),
        ('{"kind": []}', r"the kind \[\] is unknown"),
        ('{"kind": "finished", "at": 1.0}', "the kind 'finished' is unknown"),
        ('{"kind": "interrupted"}', "'interrupted.at' is missing"),
        ('{"kind": "interrupted", "at": 1.0, "by": "you"}', "'interrupted.by' is unknown"),
        ('{"kind": "interrupted", "at": "noon"}', "interrupted.at is text"),
        ('{"kind": "interrupted", "at": true}', "interrupted.at is true or false"),
        ('{"kind": "interrupted", "at": NaN}', "interrupted.at is a number"),
        ('{"kind": "interrupted", "at": 1e999}', "interrupted.at is a number"),
        ('{"kind": "run_ended", "at": 1.0, "exit_code": 1.5}', "run_ended.exit_code is a number"),
        ('{"kind": "run_ended", "at": 1.0, "exit_code": null}', "run_ended.exit_code is null"),
        (write_event(_ENDED).replace("timed out", "tired"), "ended.ending.cause is 'tired', which is unknown"),
        (write_event(_ENDED).replace('"execute"', "{}"), "ended.phase is an object"),
        (write_event(_ENDED)[:-9], "not an event"),
    ],
)
def test_a_broken_or_unknown_line_is_told_and_not_guessed(line, told):
    with pytest.raises(ValueError, match=told):
        read_event(line)


@given(st.one_of(*map(_values, KINDS.values())), st.data())
def test_no_damage_to_a_line_gives_anything_but_an_event_or_a_value_error(event, data):
    line = bytearray(write_event(event).encode())
    at = data.draw(st.integers(0, len(line) - 1))
    line[at] = data.draw(st.integers(0, 255))
    try:
        read = read_event(bytes(line))
    except ValueError:
        return
    assert read_event(write_event(read)) == read


def test_what_was_seen_of_the_devices_comes_back_with_an_ending():
    seen = Seen(kernel_oom=False, xid=(79, 31), foreign_memory=True)
    event = events.Ended(1.5, "a.py", 1, Phase.EXECUTE, Ending(Cause.EXITED, 1, seen=seen))
    assert read_event(write_event(event)).ending.seen == seen


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("at", 1e300),
        ("at", -1.0),
        ("at", 10**400),
        ("attempt", 1 << 63),
        ("gpus", -(10**25)),
        ("log", "\ud800.log"),
    ],
)
def test_what_no_clock_database_or_file_can_hold_is_no_event(name: str, value: object) -> None:
    """Whoever wrote the line, no report breaks over it."""
    said = json.loads(write_event(events.Queued(1.0, "a.py", 1, "a.log", 1)))
    with pytest.raises(ValueError, match=f"not an event: queued.{name} is"):
        read_event(json.dumps({**said, name: value}))
