"""Promises 2 and 3: order of arrival with backfill, all or nothing."""

from __future__ import annotations

import signal


def end(job):
    job.process.terminate()
    job.wait()


def test_requests_are_served_in_order_of_arrival(host, tmp_path):
    log = tmp_path / "order"
    holder = host.holder("--count", "8")
    waiters = [
        host.waiter("--devices", "0", "--name", str(i), command=("sh", "-c", f"echo {i} >>{log}")) for i in range(5)
    ]
    end(holder)
    assert [waiter.wait() for waiter in waiters] == [0] * 5
    assert log.read_text().split() == ["0", "1", "2", "3", "4"]


def test_a_stream_of_small_requests_does_not_starve_a_large_one(host):
    first, second = host.holder("--count", "4"), host.holder("--count", "4")
    large = host.waiter("--count", "8")
    small = [host.waiter("--count", "1") for _ in range(4)]
    end(first)
    assert not any(job.has("granted") for job in small), "a later request overtook one with no promise to be back"
    end(second)
    large.event("granted")
    assert [job.wait() for job in [large, *small]] == [0] * 5


def test_a_later_request_that_is_back_in_time_is_backfilled(host):
    holder = host.holder("--count", "4", "--time-limit", "500")
    large = host.waiter("--count", "8")
    quick = host.start("--count", "4", "--time-limit", "100", "--", "true")
    assert quick.wait() == 0
    assert not quick.has("waiting")
    assert not large.has("granted")
    end(holder)
    assert large.wait() == 0


def test_a_later_request_that_may_not_be_back_in_time_is_not_backfilled(host):
    holder = host.holder("--count", "4", "--time-limit", "100")
    large = host.waiter("--count", "8")
    long = host.waiter("--count", "4", "--time-limit", "500")
    unlimited = host.waiter("--count", "1")
    end(holder)
    assert [job.wait() for job in (large, long, unlimited)] == [0, 0, 0]


def test_a_backfilled_job_that_would_outstay_its_time_limit_is_ended_and_delays_nobody(host, tmp_path):
    """The reservation of the head holds because the limit is enforced."""
    from trainci.lease.view import status

    holder = host.holder("--count", "4", "--time-limit", "30")
    large = host.waiter("--count", "8", command=("sh", "-c", f"date +%s.%N >{tmp_path}/begun"))
    (promise,) = status(str(host.path)).waiting
    deaf = ("sh", "-c", 'trap "" TERM; sleep 1000')
    overrunning = host.holder("--count", "4", "--time-limit", "1", "--grace", "0.3", command=deaf)
    end(holder)
    assert overrunning.wait() == 128 + signal.SIGKILL
    assert overrunning.event("ended")["time_limit"] is True
    assert large.wait() == 0
    assert float((tmp_path / "begun").read_text()) < promise.latest_start


def test_a_later_request_for_other_devices_does_not_wait(host):
    host.holder("--devices", "0")
    host.waiter("--devices", "0,1")
    assert host.start("--devices", "5", "--", "true").wait() == 0


def test_a_request_behind_unknown_ends_tells_no_start_and_one_behind_a_limit_does(host):
    from trainci.lease.view import status

    host.holder("--devices", "0")
    host.holder("--devices", "1", "--time-limit", "200")
    host.waiter("--devices", "0")
    host.waiter("--devices", "1")
    first, second = status(str(host.path)).waiting
    assert first.latest_start is None
    assert second.latest_start is not None and second.latest_start > second.since + 150


def test_all_or_nothing_no_partial_hold_blocks_others(host):
    host.holder("--devices", "0", "--time-limit", "500")
    host.waiter("--devices", "0,1")
    assert host.start("--devices", "1", "--time-limit", "10", "--", "true").wait() == 0
    assert "Free GPUs: 1,2,3,4,5,6,7" in host.run("--print-only").stdout


def test_no_deadlock_between_0_1_and_1_0(host):
    jobs = [host.start("--devices", order, "--", "true") for _ in range(5) for order in ("0,1", "1,0")]
    assert [job.wait() for job in jobs] == [0] * 10


def test_a_waiter_that_gives_up_leaves_its_place(host):
    holder = host.holder("--count", "8", "--time-limit", "500")
    large = host.waiter("--count", "8", "--timeout", "0.5")
    assert large.wait() == 75
    gone = host.waiter("--count", "8")
    gone.process.send_signal(signal.SIGINT)
    assert gone.wait() == 130
    behind = host.waiter("--count", "1")
    end(holder)
    assert behind.wait() == 0
    assert host.tickets() == []


def test_an_urgent_request_is_served_before_those_that_came_just_before_it(host):
    holder = host.holder("--count", "8")
    came_first = host.waiter("--count", "8", command=("sleep", "1000"))
    low = host.waiter("--count", "8", "--priority", "low", command=("true",))
    urgent = host.waiter("--count", "8", "--priority", "high", command=("sleep", "1000"))
    holder.process.terminate()
    urgent.event("started")
    assert not came_first.has("started")
    urgent.process.terminate()
    came_first.event("started")
    assert not low.has("started")
    came_first.process.terminate()
    assert low.wait() == 0
