"""The scheduling cycle, on real tickets in a real directory."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import time
from dataclasses import replace

import pytest

from trainci.lease.queue.cycle import (
    GRANT_LASTS_S,
    foreign_devices,
    note_foreign,
    publish,
    read_reservations,
    reservation_of,
    run_cycle,
    wake,
)
from trainci.lease.queue.hold import LockedError, acquire
from trainci.lease.queue.tickets import Arrival, Ticket, waiting
from trainci.lease.store.directory import Directory, open_directory
from trainci.lease.store.files import remove
from trainci.lease.store.locks import take
from trainci.lease.store.records import (
    FOREVER,
    Request,
    Reservation,
)
from trainci.model.device import Device

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
    assert decide(directory).foreign == frozenset()
    decide_and_tell(directory)
    assert foreign_devices(directory) == frozenset()


def test_the_foreign_lock_of_a_pattern_counts(directory, enqueue, tmp_path):
    pattern = str(tmp_path / "gpu_{gpu_id}.lock")
    enqueue(1, request("a", pattern=pattern))
    note_foreign(directory, frozenset({"cpu-1"}))
    descriptor = take(directory, str(tmp_path / "gpu_1.lock"))
    assert list(decide(directory).busy) == ["cpu-1"]
    os.close(descriptor)


def test_a_reservation_of_other_devices_than_were_asked_for_is_void():
    """Whoever wrote it, no job starts with fewer devices than it needs, or with others."""
    wanted = request("a", 2)
    good = Reservation(1.0, ("cpu-0", "cpu-1"), 1.0)
    assert reservation_of(wanted, {"a": good}) == good
    for devices in ((), ("cpu-0",), ("cpu-0", "cpu-0"), ("cpu-0", "cpu-9"), ("cpu-0", "cpu-1", "cpu-2")):
        assert reservation_of(wanted, {"a": replace(good, devices=devices)}) == Reservation()
    assert reservation_of(wanted, {}) == Reservation()


def test_names_among_the_tickets_that_are_none_are_passed_over(directory, enqueue):
    enqueue(1, request("a"))
    other = directory.create(directory.join("tickets", "x-a"), request("b").dump())
    fcntl.flock(other, fcntl.LOCK_EX)
    assert [arrival.request.id for arrival in waiting(directory)] == ["a"]
    os.close(other)


def test_the_kernels_lock_decides_and_no_record(directory):
    """A cycle that is late or wrong may grant a device twice; it can be taken once."""
    first = acquire(directory, request("a", 2), DEVICES[:2], 1.0)
    remove(directory.join("leases", "a"))
    with pytest.raises(LockedError) as locked:
        acquire(directory, request("b", 3), DEVICES[:0:-1], 2.0)
    assert locked.value.foreign == "cpu-1"
    # And it has released those that it had got.
    acquire(directory, request("c", 2), DEVICES[2:], 3.0).release()
    first.release()
    acquire(directory, request("d", 4), DEVICES, 4.0).release()


def test_a_decision_that_cannot_be_written_wakes_the_next_all_the_same(directory, enqueue, monkeypatch):
    """The disk is full: giving back needs no space."""
    ticket = enqueue(1, request("a"))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Directory, "write", full)
    decide_and_tell(directory)
    assert rang(ticket)


def test_devices_of_every_record_are_busy_whatever_became_of_their_lock_files(directory, enqueue):
    lease = acquire(directory, request("a", 2), DEVICES[:2], 1.0)
    enqueue(1, request("b"))
    for device in DEVICES[:2]:
        remove(directory.join("devices", f"{device.uuid}.lock"))
    assert decide(directory).busy == {"cpu-0": FOREVER, "cpu-1": FOREVER}
    lease.release()
    assert decide(directory).busy == {}
