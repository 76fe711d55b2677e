"""``trainci gpus``: who holds what, who waits, what is quarantined; and its ``--release``."""

from __future__ import annotations

import io
import os
import pwd
import re
import time

from trainci.cli import main
from trainci.lease.store.directory import open_directory
from trainci.lease.store.health import quarantine

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def gpus(host, *arguments):
    """Exit code, lines of stdout, and stderr."""
    out, err = io.StringIO(), io.StringIO()
    code = main(["gpus", "--lock-dir", str(host.path), *arguments], out, err)
    return code, out.getvalue().splitlines(), err.getvalue()


def test_it_shows_who_holds_each_device_since_when_and_who_waits(host):
    me = pwd.getpwuid(os.getuid()).pw_name
    host.run("--count", "3", "--", "true")
    holder = host.holder("--devices", "0", "--name", "train gpt", "--time-limit", "500")
    waiter = host.waiter("--devices", "0,1", "--name", "eval")
    code, lines, _ = gpus(host)
    held, free, _, waiting = lines
    assert code == 0
    since = rf"since {TIME} \(\d+ s ago\), until {TIME} at the latest"
    who = rf"held by train gpt \(user {me}, process {holder.pid}\)"
    assert re.fullmatch(rf"  0  cpu-0  virtual CPU device: {who} {since}", held)
    assert free == "  1  cpu-1  virtual CPU device: free"
    assert waiting.startswith(f"waiting 1: devices cpu-0, cpu-1 for eval (user {me}, process {waiter.pid}) since ")
    assert "starts: by " in waiting


def test_a_quarantine_is_shown_with_its_reason_and_time_and_the_way_out_and_released(host):
    host.run("--", "true")
    at = time.time() - 3600
    quarantine(open_directory(str(host.path)), "cpu-0", "Xid 79 while a job ran on it", at)
    _, (line,), _ = gpus(host)
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    assert line.startswith(f"  0  cpu-0  virtual CPU device: quarantined since {since} (36")
    assert line.endswith(" s ago): Xid 79 while a job ran on it; `trainci gpus --release cpu-0` clears it")
    assert gpus(host, "--release", "cpu-0") == (0, ["cpu-0 may be leased again."], "")
    assert gpus(host)[1] == ["  0  cpu-0  virtual CPU device: free"]


def test_a_release_of_what_is_not_quarantined_is_an_error(host):
    host.run("--", "true")
    code, lines, err = gpus(host, "--release", "cpu-0")
    assert (code, lines) == (2, [])
    assert "cpu-0 is not quarantined" in err
