"""What runs the tests of an allocation that they share: real leases, without an engine around them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import Nobody, children_of, wait_until

from trainci.executors import agent, node
from trainci.executors.account import open_log
from trainci.executors.agent import Agent, Order, give
from trainci.executors.attempt import Attempt
from trainci.executors.base import Job
from trainci.executors.words import lease_arguments
from trainci.lease import protocol
from trainci.model.tests import Test


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The folder of the allocation's job."""
    monkeypatch.setenv("TRAINCI_LOCK_DIR", str(tmp_path / "locks"))
    directory = tmp_path / "pack.job"
    directory.mkdir(mode=0o700)
    return directory


def prepared(own: Path, name: str, *command: str) -> Path:
    """The folder of a test without devices."""
    job = Job(Test(name, command=command), 1, own.parent / f"{name}.log")
    attempt = Attempt(job, Nobody())
    with open_log(job.log) as log:
        attempt.prepare([protocol.COUNT, "0", *lease_arguments(job)], own.parent, log, probed=False)
    return attempt.directory


def agent_of(own: Path, seconds: float = 600.0) -> subprocess.Popen[bytes]:
    deadline = f"{time.monotonic() + seconds:.3f}"
    program = "import sys; from trainci.executors.agent import main; sys.exit(main(sys.argv[1]))"
    return subprocess.Popen(
        [sys.executable, "-c", program, own],
        env={**os.environ, protocol.DEADLINE_VARIABLE: deadline, protocol.DEVICES_VARIABLE: ""},
    )


def reports(folder: Path) -> list[protocol.Report]:
    return [protocol.load(line) for line in (folder / node.STATUS).read_bytes().splitlines()]


def test_each_test_of_an_allocation_has_its_own_output_and_reports_and_begins_once(own):
    folders = [prepared(own, name, "echo", name) for name in ("a", "b")]
    for folder in folders * 2:
        give(own, Order(folder.name, 0, 60))
    give(own, Order())
    assert not agent.has_begun(own)
    assert agent_of(own).wait(timeout=60) == 0
    assert agent.has_begun(own)
    assert [(folder / node.OUTPUT).read_text() for folder in folders] == ["a\n", "b\n"]
    for folder in folders:
        assert [type(report) for report in reports(folder)] == [protocol.Granted, protocol.Started, protocol.Ended]
        assert not (folder / node.TOLD).exists(), "the environment of whoever submitted it"


def test_a_lease_that_is_killed_in_an_allocation_is_told_of_as_lost(own):
    folder = prepared(own, "a", "sleep", "1000")
    give(own, Order(folder.name, 0, 60))
    give(own, Order())
    process = agent_of(own)
    wait_until(lambda: (folder / node.STATUS).exists() and b"started" in (folder / node.STATUS).read_bytes(), "it")
    (lease,) = children_of(process.pid)
    os.kill(lease, signal.SIGKILL)
    assert process.wait(timeout=60) == 0
    assert "ended with -9 and no report" in reports(folder)[-1].lost


def test_one_test_of_an_allocation_is_ended_by_an_order_and_one_that_had_not_begun_never_begins(own):
    folder, other = prepared(own, "a", "sleep", "1000"), prepared(own, "b", "true")
    give(own, Order(folder.name, 0, 60))
    process = agent_of(own)
    wait_until(lambda: (folder / node.STATUS).exists() and b"started" in (folder / node.STATUS).read_bytes(), "it")
    assert node.begin(other) is not None, "whoever submitted it has withdrawn it"
    for order in (Order(other.name, 0, 60), Order(folder.name, end=True), Order()):
        give(own, order)
    assert process.wait(timeout=60) == 0
    assert (reports(folder)[-1].ordered, reports(folder)[-1].signal) == (True, signal.SIGTERM)
    assert reports(other) == []


def test_what_an_allocation_has_no_time_for_is_left_for_another(own):
    short, long = prepared(own, "a", "true"), prepared(own, "b", "true")
    give(own, Order(long.name, 0, 600))
    give(own, Order(short.name, 0, 60))
    assert agent_of(own, seconds=300).wait(timeout=60) == 0
    assert reports(short)[-1].code == 0
    assert not (long / node.STATUS).exists()


def test_an_agent_starts_nothing_from_a_folder_that_others_may_write(own):
    folder = prepared(own, "a", "true")
    give(own, Order(folder.name, 0, 60))
    own.chmod(0o777)
    assert agent_of(own).wait(timeout=60) == 3
    assert not (folder / node.STATUS).exists()


class Begun(Agent):
    """An agent that only notes what it would begin."""

    def __init__(self, directory, devices, slots):
        super().__init__(directory, devices, slots, deadline=1000.0)
        self.begun = []

    def _begin(self, order):
        self.begun.append(order.folder)
        self._running[-len(self.begun)] = order

    def _collect(self):
        pass


def test_tests_of_an_allocation_hold_no_more_devices_and_slots_than_it_has(own):
    one = Begun(own, devices=8, slots=2)
    for folder, gpus in (("a", 4), ("b", 8), ("c", 2), ("d", 0), ("e", 4), ("f", 2), ("g", 0), ("h", 0)):
        give(own, Order(folder, gpus, 60))
    assert one.step(1.0)
    assert one.begun == ["a", "c", "d", "f", "g"]
    one._running.clear()
    assert one.step(2.0)
    assert one.begun[5:] == ["b", "h"]


def test_an_agent_that_nobody_orders_anything_gives_its_allocation_back(own):
    one = Begun(own, devices=8, slots=2)
    assert [one.step(now) for now in (1.0, 10.0, 12.0)] == [True, True, False]


def test_half_a_line_of_an_order_is_read_once_it_is_whole(own):
    one = Begun(own, devices=8, slots=2)
    give(own, Order("a", 1, 60))
    text = (own / agent.ORDERS).read_text()
    (own / agent.ORDERS).write_text(text[:20])
    one.step(1.0)
    (own / agent.ORDERS).write_text(text)
    one.step(2.0)
    assert one.begun == ["a"]
