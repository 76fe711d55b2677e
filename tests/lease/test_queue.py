"""The scheduling cycle, on real tickets in a real directory."""

from __future__ import annotations

import fcntl
import json
import os
import select
import time
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from trainci.host.files import read_text, remove
from trainci.lease.queue.cycle import (
    GRANT_LASTS_S,
    note_foreign,
    publish,
    read_reservations,
    reservation_of,
    run_cycle,
    wake,
)
from trainci.lease.queue.hold import LockedError, acquire
from trainci.lease.queue.tickets import Arrival, Ticket, waiting
from trainci.lease.store.directory import open_directory
from trainci.lease.store.locks import take
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
from trainci.model import Device
from trainci.text import printable

DEVICES = tuple(Device(i, f"cpu-{i}") for i in range(4))


def request(id, count=1, devices=DEVICES, bound=FOREVER, pattern=""):
    return Request(id, count, devices, bound, pattern, f"job {id}", 0, os.getpid(), 1.5)


@pytest.fixture
def directory(tmp_path):
    return open_directory(str(tmp_path / "locks"))


@pytest.fixture
def enqueue(directory):
    tickets = []

    def add(number, wanted):
        tickets.append(Ticket(directory, Arrival(number, wanted)))
        return tickets[-1]

    yield add
    for ticket in tickets:
        ticket.close()


def rang(ticket):
    return bool(select.select([ticket.bell], [], [], 0)[0])


def decide(directory, now=None, **more):
    return run_cycle(directory, time.time() if now is None else now, waiting(directory), **more)


def decide_and_tell(directory, now=None):
    decision = decide(directory, now)
    publish(directory, decision)
    wake(directory, decision)


def test_a_grant_whose_ring_was_lost_is_rung_again(directory, enqueue):
    """The one that granted may be killed between writing the plan and ringing."""
    ticket = enqueue(1, request("a"))
    decide_and_tell(directory)
    assert rang(ticket)
    ticket.silence()
    decide_and_tell(directory)
    assert rang(ticket)


def test_a_grant_that_is_not_taken_in_time_goes_to_the_next(directory, enqueue):
    enqueue(1, request("a", 4))
    second = enqueue(2, request("b", 4))
    decide_and_tell(directory, 100.0)
    assert read_reservations(directory)["a"].granted_at == 100.0
    decide_and_tell(directory, 100.0 + GRANT_LASTS_S + 0.1)
    plan = read_reservations(directory)
    assert plan["a"].stalled and plan["b"].granted_at is not None
    assert rang(second)


def test_one_that_stalled_is_back_in_its_place_when_it_looks_itself(directory, enqueue):
    enqueue(1, request("a", 4))
    decide_and_tell(directory, 100.0)
    decide_and_tell(directory, 110.0)
    assert read_reservations(directory)["a"].stalled
    assert decide(directory, 111.0, awake="a").reservations["a"].granted_at == 111.0


def test_tickets_of_the_dead_are_removed(directory, enqueue):
    Ticket(directory, Arrival(1, request("dead"))).close()
    enqueue(2, request("alive"))
    assert [arrival.request.id for arrival in waiting(directory)] == ["alive"]
    assert len(directory.names("tickets")) == 2


def test_a_device_that_a_foreign_holder_locks_counts_as_held_without_an_end(directory, enqueue):
    enqueue(1, request("a"))
    note_foreign(directory, frozenset({"cpu-2"}))
    descriptor = take(directory, directory.join("devices", "cpu-2.lock"))
    assert decide(directory).busy == {"cpu-2": FOREVER}
    os.close(descriptor)
    assert decide(directory).busy == {}


def test_the_foreign_lock_of_a_pattern_counts(directory, enqueue, tmp_path):
    pattern = str(tmp_path / "gpu_{gpu_id}.lock")
    enqueue(1, request("a", pattern=pattern))
    note_foreign(directory, frozenset({"cpu-1"}))
    descriptor = take(directory, str(tmp_path / "gpu_1.lock"))
    assert list(decide(directory).busy) == ["cpu-1"]
    os.close(descriptor)


TEXT = st.text(st.characters(codec="utf-8"), max_size=20).map(printable)
IDS = st.text("0123456789abcdef", min_size=1)
TIMES = st.floats(allow_nan=False, min_value=0)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
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


def test_a_reservation_of_other_devices_than_were_asked_for_is_void():
    """Whoever wrote it, no job starts with fewer devices than it needs, or with others."""
    wanted = request("a", 2)
    good = Reservation(1.0, ("cpu-0", "cpu-1"), 1.0)
    assert reservation_of(wanted, {"a": good}) == good
    for devices in ((), ("cpu-0",), ("cpu-0", "cpu-0"), ("cpu-0", "cpu-9"), ("cpu-0", "cpu-1", "cpu-2")):
        assert reservation_of(wanted, {"a": replace(good, devices=devices)}) == Reservation()
    assert reservation_of(wanted, {}) == Reservation()


def test_a_name_from_another_user_is_shown_on_one_line():
    assert load_request(request("a").dump().replace("job a", r"\u001b[2J\n")).name == r"\x1b[2J\n"


def test_names_among_the_tickets_that_are_none_are_passed_over(directory, enqueue):
    enqueue(1, request("a"))
    other = directory.create(directory.join("tickets", "x-a"), request("b").dump())
    fcntl.flock(other, fcntl.LOCK_EX)
    assert [arrival.request.id for arrival in waiting(directory)] == ["a"]
    os.close(other)


def test_a_plan_reads_back_as_written():
    plan = {"a": Reservation(1.5, ("x", "y"), 2.5), "b": Reservation(FOREVER, (), stalled=True)}
    back = load_reservations(dump_reservations(plan))
    assert {k: (t.start, t.devices, t.granted_at, t.stalled) for k, t in back.items()} == {
        k: (t.start, t.devices, t.granted_at, t.stalled) for k, t in plan.items()
    }


def test_the_kernels_lock_decides_and_no_record(directory):
    """A cycle that is late or wrong may grant a device twice; it can be taken once."""
    first = acquire(directory, request("a", 2), DEVICES[:2], 1.0)
    remove(directory.join("leases", "a"))
    with pytest.raises(LockedError) as locked:
        acquire(directory, request("b", 3), DEVICES[1:], 2.0)
    assert locked.value.foreign == "cpu-1"
    # And it has released those that it had got.
    acquire(directory, request("c", 2), DEVICES[2:], 3.0).release()
    first.release()
    acquire(directory, request("d", 4), DEVICES, 4.0).release()


def test_files_of_proc_are_read_to_their_end():
    """The kernel gives them in pieces of a page or so."""
    text = Path("/proc/kallsyms").read_text()
    assert len(text) > 100_000
    assert read_text("/proc/kallsyms") == text
