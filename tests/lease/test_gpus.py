"""``trainci gpus``: who holds what, who waits and why, and what a maintainer does by hand."""

from __future__ import annotations

import io
import json
import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
from support import wait_until
from terminal import Terminal

from trainci.cli import main
from trainci.lease.store import ledger
from trainci.lease.store.directory import open_directory
from trainci.lease.store.marks import quarantine

pytestmark = pytest.mark.slow

ME = pwd.getpwuid(os.getuid()).pw_name
TRAINCI = str(Path(sys.executable).with_name("trainci"))


def gpus(host, *arguments):
    """Exit code, lines of stdout, and stderr."""
    out, err = io.StringIO(), io.StringIO()
    code = main(["gpus", "--virtual", "--lock-dir", str(host.path), *arguments], out, err)
    return code, out.getvalue().splitlines(), err.getvalue()


def told(host):
    """What --json says."""
    code, lines, _ = gpus(host, "--json")
    assert code == 0
    return json.loads("\n".join(lines))


def clock(at):
    return time.strftime("%H:%M", time.localtime(at))


def test_it_shows_who_holds_each_device_and_who_waits_for_whom(host):
    host.run("--count", "3", "--", "true")
    holder = host.holder("--devices", "0", "--name", "train gpt", "--time-limit", "500", "--expected", "60")
    waiter = host.waiter("--devices", "0,1", "--name", "eval", "--priority", "low", "--time-limit", "60")
    code, lines, _ = gpus(host)
    assert code == 0
    seen = told(host)
    held, free, _ = seen["devices"]
    (request,) = seen["waiting"]
    since, until = clock(held["since"]), clock(held["holder"]["until"])
    title, header, *rows = lines
    assert title == "3 × virtual CPU device"
    assert header.split() == ["GPU", "STATE", "SINCE", "UNTIL", "ABOUT", "USER", "PID", "WHO,", "OR", "WHY", "NOT"]
    assert rows[0].split() == [
        "0",
        "held",
        since,
        until,
        clock(held["since"] + 60),
        ME,
        str(holder.pid),
        *["train", "gpt"],
    ]
    assert rows[1].split() == ["1", "free"]
    assert rows[4].split() == [
        "PLACE",
        "WANTS",
        "SINCE",
        "ABOUT",
        "BY",
        "PRIORITY",
        "USER",
        "PID",
        "REQUEST",
        "FOR",
    ]
    assert rows[5].split()[-5:] == ["low", ME, str(waiter.pid), request["request"], "eval"]
    assert rows[6].strip() == f"waits: device 0: held by train gpt (user {ME}) since {since}, at most until {until}"
    assert free["state"] == "free"
    assert held["holder"]["host_pid"] == holder.pid
    assert request["latest_start"] == pytest.approx(held["holder"]["until"])
    assert request["expected_start"] == pytest.approx(held["since"] + 60, abs=1)


def test_virtual_devices_are_shown_only_where_they_are_asked_for(host):
    holder = host.holder("--devices", "0")
    out, err = io.StringIO(), io.StringIO()
    assert main(["gpus", "--lock-dir", str(host.path)], out, err) == 0
    assert str(holder.pid) not in out.getvalue()
    assert "`--virtual` shows 1 virtual device." in out.getvalue()


@pytest.mark.parametrize("columns", [100, 80, 60])
def test_eight_devices_and_a_queue_fit_a_terminal(host, columns):
    name = "tests/test_a_rather_long_name.py[--with-an-argument] of one-organisation/repository#1234"
    host.holder("--count", "6", "--name", name, "--time-limit", "500", "--expected", "60")
    host.waiter("--count", "8", "--name", name, "--priority", "high")
    quarantine(
        open_directory(str(host.path)),
        "cpu-7",
        "3 uncorrectable ECC errors since the driver was loaded",
        time.time(),
    )
    command = [TRAINCI, "gpus", "--virtual", "--lock-dir", str(host.path)]
    with Terminal(command, host.environment, host.path, columns) as terminal:
        screen = terminal.wait_for("waits: device")
        wait_until(lambda: terminal.process.poll() is not None, "it ends")
        screen = terminal.shows()
    lines = screen.splitlines()
    assert max(map(len, lines)) <= columns
    whole = " ".join(screen.split())
    assert whole.count(name) >= 7, screen
    assert screen.count("one-organisation/repository#1234") >= 7, "no name is broken at a hyphen"
    assert "`trainci gpus --release 7` clears it" in whole
    assert told(host)["waiting"][0]["request"] in screen, "what --cancel takes is not broken"
    rows = [line for line in lines if line and not line.startswith((" ", "GPU", "PLACE", "7 ×"))]
    assert not rows, "no row is broken by the terminal"


def test_watch_shows_what_changes_until_it_is_interrupted(host):
    first = host.holder("--devices", "0", "--name", "the first")
    command = [TRAINCI, "gpus", "--virtual", "--watch", "--lock-dir", str(host.path)]
    with Terminal(command, host.environment, host.path) as terminal:
        terminal.wait_for("the first")
        first.process.terminate()
        first.wait()
        host.holder("--devices", "0", "--name", "the second")
        assert "the first" not in terminal.wait_for("the second")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(40) == 0


def test_a_drained_device_is_kept_by_its_holder_and_handed_to_nobody_until_it_is_undrained(host):
    holder = host.holder("--devices", "0", "--name", "train gpt")
    assert gpus(host, "--drain", "0", "--reason", "new firmware")[0] == 0
    assert "train gpt; then not handed out by" in gpus(host)[1][2]
    assert told(host)["devices"][0]["state"] == "draining"
    waiter = host.waiter("--devices", "0")
    holder.process.terminate()
    wait_until(lambda: told(host)["devices"][0]["state"] == "drained", "its holder has gone")
    assert not waiter.has("granted")
    assert f"new firmware by {ME}; `trainci gpus --undrain 0` hands it out again" in gpus(host)[1][2]
    assert told(host)["waiting"][0]["why"] == f"device 0: drained by {ME}"
    # Who can be served on others is.
    assert host.run("--count", "7", "--", "true").returncode == 0
    assert gpus(host, "--undrain", "cpu-0") == (0, ["cpu-0 may be leased again."], "")
    assert waiter.wait() == 0


def test_all_devices_are_drained_at_once(host):
    host.run("--count", "8", "--", "true")
    assert gpus(host, "--drain", "all")[0] == 0
    assert {device["state"] for device in told(host)["devices"]} == {"drained"}
    assert host.run("--timeout", "0.2", "--", "true").returncode == 75
    assert gpus(host, "--undrain", "all")[0] == 0
    assert host.run("--", "true").returncode == 0


def test_all_clears_what_is_there_to_clear(host):
    host.run("--count", "3", "--", "true")
    for action in ("undrain", "release"):
        code, lines, err = gpus(host, f"--{action}", "all")
        assert (code, lines) == (2, [])
        assert "no device is " in err
    gpus(host, "--drain", "1", "--quarantine", "2")
    assert gpus(host, "--undrain", "all") == (0, ["cpu-1 may be leased again."], "")
    assert gpus(host, "--release", "all") == (0, ["cpu-2 may be leased again."], "")
    assert {device["state"] for device in told(host)["devices"]} == {"free"}


def test_a_drain_and_a_quarantine_do_not_clear_each_other(host):
    host.run("--", "true")
    gpus(host, "--drain", "0")
    quarantine(open_directory(str(host.path)), "cpu-0", "Xid 79 while a job ran on it", time.time())
    still = "cpu-0 is drained still; `trainci gpus --undrain cpu-0` hands it out again."
    assert gpus(host, "--release", "0") == (0, [still], "")
    assert told(host)["devices"][0]["state"] == "drained"
    assert gpus(host, "--quarantine", "0", "--reason", "smoke")[0] == 0
    assert gpus(host, "--undrain", "0")[0] == 0
    assert told(host)["devices"][0]["state"] == "quarantined"


def test_a_quarantine_is_shown_with_its_reason_and_the_way_out_and_released(host):
    host.run("--", "true")
    at = time.time() - 60
    quarantine(open_directory(str(host.path)), "cpu-0", "Xid 79 while a job ran on it", at)
    line = gpus(host)[1][2]
    assert line.split()[:3] == ["0", "quarantined", clock(at)]
    assert line.endswith("Xid 79 while a job ran on it; `trainci gpus --release 0` clears it")
    assert gpus(host, "--release", "cpu") == (0, ["cpu-0 may be leased again."], "")
    assert told(host)["devices"][0]["state"] == "free"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--release", "cpu-0"), "cpu-0 is not quarantined"),
        (("--undrain", "0"), "cpu-0 is not drained"),
        (("--drain", "9"), "9: no device of this host is called so; there are 0 (cpu-0), 1 (cpu-1)."),
        (("--drain", "cpu"), "cpu: more than one device of this host is called so"),
        (("--release", "../format"), "../format: no device of this host"),
        (("--drain", ""), "an empty name: no device of this host"),
        (("--cancel", "abc"), "abc: not the id of one request that waits (none)"),
        (("--drain", "0", "--cancel", ""), "an empty name: not the id of one request"),
        (("--watch", "--json"), "exclude each other"),
    ],
)
def test_what_cannot_be_done_is_an_error_and_nothing_is_done(host, arguments, said):
    host.run("--count", "2", "--", "true")
    code, lines, err = gpus(host, *arguments)
    assert (code, lines) == (2, [])
    assert said in err
    assert {device["state"] for device in told(host)["devices"]} == {"free"}
    assert ledger.entries(open_directory(str(host.path))) == []


def test_a_cancelled_request_ends_says_who_did_it_and_holds_nobody_back(host):
    host.holder("--count", "7")
    waiter = host.waiter("--count", "8", "--name", "too greedy")
    behind = host.waiter("--count", "1")
    request = told(host)["waiting"][0]["request"]
    code, lines, _ = gpus(host, "--cancel", request[:8], "--reason", "it would wait all night")
    assert (code, lines) == (0, [f"request {request} (too greedy) is cancelled."])
    code, _, err = waiter.end()
    assert code == 128 + signal.SIGTERM
    assert f"the request was cancelled by {ME}: it would wait all night." in err
    assert behind.wait() == 0


def test_each_action_is_in_the_ledger_with_who_did_it(host):
    host.run("--", "true")
    begun = time.time()
    for action in ("drain", "undrain", "quarantine", "release"):
        assert gpus(host, f"--{action}", "0", "--reason", "because\n of it")[0] == 0
    found = ledger.entries(open_directory(str(host.path)))
    assert [(entry.action, entry.what, entry.by) for entry in found] == [
        (action, "cpu-0", ME) for action in ("drain", "undrain", "quarantine", "release")
    ]
    assert {entry.reason for entry in found} == {"because\\n of it"}
    assert all(begun <= entry.at <= time.time() for entry in found)


def test_a_ledger_that_somebody_broke_is_read_as_far_as_it_is_one(host):
    host.run("--", "true")
    (host.path / "ledger").write_bytes(
        b'\xff\n[]\n{"at": "x"}\n' + b'{"at": 1, "by": "a", "action": "b", "what": "c", "reason": ""}\n'
    )
    assert [entry.by for entry in ledger.entries(open_directory(str(host.path)))] == ["a"]


def test_what_waits_says_for_whom_and_says_it_anew_when_that_changes(host):
    holder = host.holder("--count", "8", "--name", "train gpt", "--time-limit", "500")
    second = host.waiter("--count", "8", "--name", "train bert", command=("sleep", "1000"))
    waiter = host.waiter("--count", "8")
    every = "device 0, 1, 2, 3, 4, 5, 6, 7"
    said = waiter.event("waiting")["why"]
    assert said.startswith(f"{every}: held by train gpt (user {ME}) since ")
    assert ", at most until " in said
    holder.process.terminate()
    second.event("started")
    wait_until(
        lambda: waiter.has("waiting") and any("held by train bert" in e.get("why", "") for e in waiter.events),
        "it says so anew",
    )


@pytest.mark.skipif(os.getuid() != 0, reason="only root may make a process namespace")
def test_the_process_of_a_holder_is_given_by_its_number_here_also_where_it_has_another_of_its_own(host):
    """In a process namespace of its own, as a container has it."""
    words = [*host.command("--devices", "0", "--", "sleep", "1000")]
    inner = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", *words], env=host.environment)
    try:
        wait_until(lambda: host.path.exists() and any(d["holder"] for d in told(host)["devices"]), "it holds")
        holder = told(host)["devices"][0]["holder"]
        assert holder["pid"] != holder["host_pid"]
        line = Path(f"/proc/{holder['host_pid']}/status").read_text()
        assert f"NSpid:\t{holder['host_pid']}\t{holder['pid']}\n" in line
    finally:
        inner.kill()
        inner.wait()


_LOOKS = """NUM_GPUS = 1
if __name__ == "__main__":
    import os, subprocess, sys
    seen = subprocess.run([sys.executable, "-m", "trainci", "gpus", "--json"], stdout=open("seen", "w"), check=True)
"""


def test_a_test_is_shown_with_its_pull_request_and_when_it_is_likely_to_end(repository, tmp_path):
    repository.write("trainci.toml", "[project]\n")
    repository.write("tests/test_a.py", _LOOKS)
    job = {"GITHUB_REPOSITORY": "org/repo", "GITHUB_REF": "refs/pull/123/merge", "TRAINCI_LOCK_DIR": str(tmp_path)}
    for _ in range(2):
        said = repository.trainci("run", "tests/test_a.py", "--devices", "cpu:1", environment=job)
        assert said.code == 0, said
    (device,) = json.loads((repository.root / "seen").read_text())["devices"]
    assert device["holder"]["name"] == "tests/test_a.py of org/repo#123"
    assert device["holder"]["since"] < device["holder"]["expected"] < device["holder"]["until"]


def test_what_json_says_is_held_to_its_schema(host):
    host.holder("--devices", "0")
    host.waiter("--count", "8")
    schema = json.loads((Path(__file__).parents[2] / "docs/json/gpus.schema.json").read_text())
    jsonschema.validate(told(host), schema)


@pytest.mark.parametrize("since", ["1e300", "-1e300", "NaN", "1e999"])
def test_a_mark_of_a_time_that_is_none_breaks_no_table(host, since):
    """Every user of the host may write one."""
    host.run("--", "true")
    for folder in ("drained", "health"):
        (host.path / folder / "cpu-0").write_text(
            f'{{"reason": "x", "since": {since}, "released": false, "by": "y"}}'
        )
    code, lines, errors = gpus(host)
    assert code == 0 and lines and "Traceback" not in errors, errors
