"""The pass over the queue, on real tickets in a real directory."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

import pytest

from trainci.host.files import read_text, remove
from trainci.lease.queue.cycle import GRANT_LASTS_S, Pass, Ticket, note_strangers, read_plan, waiting
from trainci.lease.queue.hold import LockedError, take_lease
from trainci.lease.store.directory import open_directory
from trainci.lease.store.locks import take
from trainci.lease.store.records import (
    FOREVER,
    Place,
    Record,
    Request,
    Turn,
    dump_plan,
    load_plan,
    load_record,
    load_request,
)

PLACES = tuple(Place(f"cpu-{i}", i) for i in range(4))


def request(id, count=1, places=PLACES, bound=None, pattern=""):
    return Request(id, count, places, bound, pattern, f"job {id}", 0, os.getpid(), 1.5)


@pytest.fixture
def directory(tmp_path):
    return open_directory(str(tmp_path / "locks"))


@pytest.fixture
def enqueue(directory):
    tickets = []

    def add(number, wanted):
        tickets.append(Ticket(directory, wanted, number))
        return tickets[-1]

    yield add
    for ticket in tickets:
        ticket.close()


def rang(ticket):
    return bool(select.select([ticket.bell], [], [], 0)[0])


def look(directory, now=None, **more):
    return Pass(directory, time.time() if now is None else now, waiting(directory), **more)


def look_and_tell(directory, now=None):
    done = look(directory, now)
    done.publish()
    done.wake()


def test_a_grant_whose_ring_was_lost_is_rung_again(directory, enqueue):
    """The one that granted may be killed between writing the plan and ringing."""
    ticket = enqueue(1, request("a"))
    look_and_tell(directory)
    assert rang(ticket)
    ticket.silence()
    look_and_tell(directory)
    assert rang(ticket)


def test_a_grant_that_is_not_taken_in_time_goes_to_the_next(directory, enqueue):
    enqueue(1, request("a", 4))
    second = enqueue(2, request("b", 4))
    look_and_tell(directory, 100.0)
    assert read_plan(directory)["a"].granted_at == 100.0
    look_and_tell(directory, 100.0 + GRANT_LASTS_S + 0.1)
    plan = read_plan(directory)
    assert plan["a"].stalled and plan["b"].granted_at is not None
    assert rang(second)


def test_one_that_stalled_is_back_in_its_place_when_it_looks_itself(directory, enqueue):
    enqueue(1, request("a", 4))
    look_and_tell(directory, 100.0)
    look_and_tell(directory, 110.0)
    assert read_plan(directory)["a"].stalled
    assert look(directory, 111.0, awake="a").plan["a"].granted_at == 111.0


def test_tickets_of_the_dead_are_removed(directory, enqueue):
    Ticket(directory, request("dead"), 1).close()
    enqueue(2, request("alive"))
    assert [wanted.id for _, wanted in waiting(directory)] == ["alive"]
    assert len(directory.names("tickets")) == 2


def test_a_device_locked_by_a_stranger_counts_as_held_without_an_end(directory, enqueue):
    enqueue(1, request("a"))
    note_strangers(directory, {"cpu-2"})
    descriptor = take(directory, directory.join("devices", "cpu-2.lock"))
    assert look(directory).busy == {"cpu-2": FOREVER}
    os.close(descriptor)
    assert look(directory).busy == {}


def test_the_foreign_lock_of_a_pattern_counts(directory, enqueue, tmp_path):
    pattern = str(tmp_path / "gpu_{gpu_id}.lock")
    enqueue(1, request("a", pattern=pattern))
    note_strangers(directory, {"cpu-1"})
    descriptor = take(directory, str(tmp_path / "gpu_1.lock"))
    assert list(look(directory).busy) == ["cpu-1"]
    os.close(descriptor)


def test_the_texts_read_back_as_written():
    wanted = load_request(request("a", 2, bound=3.5, pattern="/x/{gpu_id} y").dump())
    assert (wanted.id, wanted.count, wanted.bound, wanted.pattern) == ("a", 2, 3.5, "/x/{gpu_id} y")
    assert [(p.uuid, p.index) for p in wanted.places] == [(p.uuid, p.index) for p in PLACES]
    record = load_record(Record("a", ("cpu-0", "cpu-1"), "a name", 1, 2, 3.0, FOREVER).dump())
    assert (record.devices, record.name, record.until) == (("cpu-0", "cpu-1"), "a name", FOREVER)


@pytest.mark.parametrize("text", ["", "garbage", "id x\ncount many\n", "id a\nname b\ndevice\n"])
def test_a_torn_or_foreign_text_is_nothing(text):
    assert load_request(text) is None
    assert load_record(text) is None
    assert load_plan(text) == {}


def test_a_plan_reads_back_as_written():
    plan = {"a": Turn(1.5, ("x", "y"), 2.5), "b": Turn(FOREVER, (), stalled=True)}
    back = load_plan(dump_plan(plan))
    assert {k: (t.start, t.devices, t.granted_at, t.stalled) for k, t in back.items()} == {
        k: (t.start, t.devices, t.granted_at, t.stalled) for k, t in plan.items()
    }


def test_the_kernels_lock_decides_and_no_record(directory):
    """A pass that is late or wrong may grant a device twice; it can be taken once."""
    first = take_lease(directory, request("a", 2), PLACES[:2], 1.0)
    remove(directory.join("leases", "a"))
    with pytest.raises(LockedError) as locked:
        take_lease(directory, request("b", 3), PLACES[1:], 2.0)
    assert locked.value.stranger == "cpu-1"
    # And it has let go of those that it had got.
    take_lease(directory, request("c", 2), PLACES[2:], 3.0).drop()
    first.drop()
    take_lease(directory, request("d", 4), PLACES, 4.0).drop()


def test_files_of_proc_are_read_to_their_end():
    """The kernel gives them in pieces of a page or so."""
    text = Path("/proc/kallsyms").read_text()
    assert len(text) > 100_000
    assert read_text("/proc/kallsyms") == text
