"""Many at once: a crowd that waits its turn is not taken for an owner who is stuck."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time

from trainci.lease.queue import tickets
from trainci.lease.queue.tickets import Arrival, Ticket, ring, waiting
from trainci.lease.store.directory import Directory, open_directory
from trainci.lease.store.locks import try_lock
from trainci.lease.store.mutex import MUTEX_PATIENCE_S, Mutex
from trainci.lease.store.records import Request
from trainci.model.device import Device

# Each owner is in for a part of the patience, a small one: the host may be busy, too. Those before the last are for
# longer than all of it.
_OWNERS = 8
OWNER = """
import os, sys, time
from trainci.lease.store.directory import open_directory
from trainci.lease.store.mutex import MUTEX_PATIENCE_S, Mutex
directory, witness = open_directory(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
with Mutex(directory):
    os.close(os.open(witness, os.O_CREAT | os.O_EXCL))  # fails where somebody else is in
    time.sleep(MUTEX_PATIENCE_S / 4)
    os.unlink(witness)
"""


def test_waiting_behind_many_owners_takes_the_mutex_from_none_of_them(tmp_path):
    locks, witness = str(tmp_path / "locks"), str(tmp_path / "witness")
    open_directory(locks)
    command = [sys.executable, "-c", OWNER, locks, witness]
    crowd = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(_OWNERS)
    ]
    for process in crowd:
        process.stdout.readline()
    for process in crowd:
        process.stdin.close()
    errors = [process.stderr.read() for process in crowd]
    for process in crowd:
        process.wait(60)
    assert [process.returncode for process in crowd] == [0] * _OWNERS, errors


def test_an_owner_that_does_not_let_go_still_loses_the_mutex(tmp_path):
    directory = open_directory(str(tmp_path / "locks"))
    stuck, late = Mutex(directory), Mutex(directory)
    stuck.__enter__()
    started = time.monotonic()
    with late:
        assert time.monotonic() - started >= MUTEX_PATIENCE_S * 0.9
    stuck.__exit__()


def test_a_ticket_that_is_swept_while_it_is_made_is_made_again(tmp_path, monkeypatch):
    directory = open_directory(str(tmp_path / "locks"))
    swept = []

    def make_and_be_swept(directory, path):
        make_pipe(directory, path)
        if len(swept) < 2:  # somebody's cycle, while we had lost the mutex
            swept.append(path)
            waiting(directory)

    make_pipe = Directory.make_pipe
    monkeypatch.setattr(Directory, "make_pipe", make_and_be_swept)
    request = Request("a", 1, (Device(0, "cpu-0"),), name="job", pid=os.getpid(), since=1.5)
    ticket = Ticket(directory, Arrival(1, request))
    assert len(swept) == 2
    assert ticket.is_there()
    assert [arrival.request.id for arrival in waiting(directory)] == ["a"]
    ticket.remove()


def test_a_ticket_whose_pipe_alone_is_swept_is_made_again(tmp_path, monkeypatch):
    directory = open_directory(str(tmp_path / "locks"))
    arrival = Arrival(1, Request("a", 1, (Device(0, "cpu-0"),), name="job", pid=os.getpid(), since=1.5))
    pipe = tmp_path / "locks" / "tickets" / f"{arrival.ticket}.fifo"
    swept = []

    def be_swept_and_lock(descriptor):
        if not swept:  # somebody's cycle, which had listed the pipe before there was a ticket
            swept.append(pipe)
            pipe.unlink()
        return try_lock(descriptor)

    monkeypatch.setattr(tickets, "try_lock", be_swept_and_lock)
    ticket = Ticket(directory, arrival)
    assert swept
    ring(str(pipe))
    assert select.select([ticket.bell], [], [], 0)[0], "a ring at the pipe is not heard by its owner"
    ticket.remove()
