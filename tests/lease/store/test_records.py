"""What the files of the lock directory say, written and read back, and whatever else may stand there."""

from __future__ import annotations

import json
import os

import hypothesis.strategies as st
import pytest
from hypothesis import given

from trainci.lease.store.records import (
    FOREVER,
    Record,
    Request,
    Reservation,
    dump_reservations,
    load_record,
    load_request,
    load_reservations,
)
from trainci.model.device import Device
from trainci.text import printable

DEVICES = tuple(Device(i, f"cpu-{i}") for i in range(4))


def request(id, count=1, devices=DEVICES, bound=FOREVER, pattern=""):
    return Request(id, count, devices, bound, pattern, f"job {id}", 0, os.getpid(), 1.5)


TEXT = st.text(st.characters(codec="utf-8"), max_size=20).map(printable)
IDS = st.text("0123456789abcdef", min_size=1)
FINITE = st.floats(0, 1 << 36, exclude_max=True)
TIMES = FINITE | st.just(FOREVER)
REQUESTS = st.builds(
    Request,
    IDS,
    st.integers(0, 120),
    st.lists(st.builds(Device, st.integers(), IDS, numa=st.integers(), group=st.integers())).map(tuple),
    TIMES,
    st.text(),
    TEXT,
    st.integers(),
    st.integers(),
    FINITE,
)
RECORDS = st.builds(
    Record, IDS, st.lists(TEXT).map(tuple), TEXT, st.integers(), st.integers(), FINITE, TIMES, st.text()
)
RESERVATIONS = st.builds(Reservation, TIMES, st.lists(TEXT).map(tuple), st.none() | FINITE, st.booleans())


@given(REQUESTS, RECORDS, st.dictionaries(IDS, RESERVATIONS))
def test_the_texts_read_back_as_written(wanted, record, reservations):
    assert load_request(wanted.dump()) == wanted
    assert load_record(record.dump()) == record
    assert load_reservations(dump_reservations(reservations)) == reservations


def test_what_was_written_reads_back_whatever_it_holds():
    wanted = load_request(request("a", 2, bound=3.5, pattern="/x/{gpu_id} y").dump())
    assert (wanted.id, wanted.count, wanted.bound, wanted.pattern) == ("a", 2, 3.5, "/x/{gpu_id} y")
    assert [(d.uuid, d.index) for d in wanted.devices] == [(d.uuid, d.index) for d in DEVICES]
    record = load_record(Record("a", ("cpu-0", "cpu-1"), "a name", 1, 2, 3.0, FOREVER).dump())
    assert (record.devices, record.name, record.until) == (("cpu-0", "cpu-1"), "a name", FOREVER)


def broken(**changed):
    """The text of a request with a field of another kind."""
    return json.dumps({**json.loads(request("a").dump()), **changed})


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "garbage",
        "id x\ncount many\n",
        "id a\nname b\ndevice\n",
        "3",
        "[]",
        "null",
        "{}",
        "[" * 100_000,
        request("a").dump()[:-1],
        broken(id="../a"),
        broken(id=""),
        broken(count="many"),
        broken(count=-1),
        broken(count=1e999),
        broken(bound=float("nan")),
        broken(devices=3),
        broken(devices=[{"index": 0}]),
        broken(devices=[{"index": 0, "uuid": "../../x", "numa": 0, "group": 0}]),
        broken(name=["a"]),
        broken(pid=None),
    ],
)
def test_a_torn_or_foreign_text_is_nothing(text):
    assert load_request(text) is None
    assert load_record(text) is None
    assert load_reservations(text) == {}


@given(st.text() | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_any_text_at_all_is_read_without_an_error(text):
    load_request(text)
    load_record(text)
    load_reservations(text)


def test_of_the_reservations_only_a_broken_one_is_left_out():
    kept = Reservation(1.0, ("cpu-0",))
    fields = json.loads(dump_reservations({"kept": kept, "broken": kept}))
    del fields["broken"]["devices"]
    assert load_reservations(json.dumps(fields)) == {"kept": kept}


def test_a_name_from_another_user_is_shown_on_one_line():
    assert load_request(request("a").dump().replace("job a", r"\u001b[2J\n")).name == r"\x1b[2J\n"


def test_a_plan_reads_back_as_written():
    plan = {"a": Reservation(1.5, ("x", "y"), 2.5), "b": Reservation(FOREVER, (), stalled=True)}
    back = load_reservations(dump_reservations(plan))
    assert {k: (t.start, t.devices, t.granted_at, t.stalled) for k, t in back.items()} == {
        k: (t.start, t.devices, t.granted_at, t.stalled) for k, t in plan.items()
    }


@pytest.mark.parametrize("at", [1e300, -1e17, float("nan"), float("inf"), 10**400])
def test_a_time_that_no_clock_can_tell_is_no_time(at):
    """Whoever wrote it, nobody's wait and nobody's table breaks over it."""
    record = Record("a", (), "job", 0, 1, 1.0, 2.0)
    assert load_record(json.dumps({**vars(record), "since": at})) is None
    assert load_request(json.dumps({**json.loads(request("a").dump()), "since": at})) is None
    told = load_reservations(json.dumps({"a": {"start": at, "devices": [], "granted_at": None, "stalled": False}}))
    assert all(found.start == FOREVER for found in told.values())
