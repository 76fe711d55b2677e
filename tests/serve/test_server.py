"""`trainci serve` as a process, asked as a browser, a program or somebody hostile asks."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import served
from served import Server
from support import wait_until

from trainci.history import open_store
from trainci.history.event_log import EventLog
from trainci.lease.actions import Maintainer
from trainci.model import events
from trainci.model.run import Outcome, Verdict
from trainci.paths import RunPaths, StatePaths

pytestmark = pytest.mark.slow

RUN = "20260101-000000-abcdef"
PAGES = [
    *("/", "/runs", f"/run?id={RUN}", "/test?id=tests/test_a.py", "/tests", "/grid", "/grid?suite=short"),
    "/health",
]
LOG = f"run={RUN}&name=00000.log"


@pytest.fixture
def server(state: StatePaths):
    served.add_run(state, RUN)
    with served.running(state.root) as running:
        yield running


def test_each_page_answers_and_holds_the_browser_to_a_strict_policy(server: Server) -> None:
    for path in [*PAGES, f"/log?{LOG}", f"/raw?{LOG}", "/style.css", "/live.js", "/nothing", "/run?id=nothing"]:
        answer = server.get(path)
        assert answer.code == (404 if "nothing" in path else 200), path
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none';") and "unsafe" not in policy and "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store" and "server" not in answer.headers
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script>|https?://", answer.text) or path == f"/raw?{LOG}"


def test_it_only_reads(server: Server, state: StatePaths) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert server.get("/runs", method).code == 405
    before = sorted((file, file.stat().st_mtime_ns) for file in state.runs.rglob("*"))
    for path in PAGES:
        server.get(path)
    assert sorted((file, file.stat().st_mtime_ns) for file in state.runs.rglob("*")) == before


def test_on_this_host_alone_it_answers_to_no_other_name(server: Server) -> None:
    assert server.get("/runs", Host="evil.example").code == 421
    assert server.get("/runs", Host=f"evil.example:{server.port}").code == 421
    assert server.get("/runs", Host=f"localhost:{server.port}").code == 200
    with socket.socket() as other, pytest.raises(OSError):
        other.connect(("127.0.0.2", server.port))


def test_others_need_the_token_that_was_printed(state: StatePaths) -> None:
    served.add_run(state, RUN)
    with served.running(state.root, "--host", "0.0.0.0") as server:
        token = server.address.partition("?token=")[2]
        assert len(token) > 40
        for path in [*PAGES, f"/log?{LOG}", f"/raw?{LOG}", "/style.css"]:
            assert server.get(path).code == 401
            assert server.get(path, Cookie="trainci_token=wrong").code == 401
            assert server.get(path, Authorization=f"Bearer {token}").code == 200
        assert server.get("/?token=wrong").code == 401
        entered = server.get(f"/?token={token}")
        assert (entered.code, entered.headers["location"]) == (303, "/")
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie
        assert server.get("/runs", Cookie=cookie.partition(";")[0], Host="gpu-7.example").code == 200


def test_a_token_of_ones_own_is_needed_on_this_host_too(state: StatePaths) -> None:
    with served.running(state.root, TRAINCI_SERVE_TOKEN="s3cret") as server:
        assert server.get("/runs").code == 401
        assert server.get("/runs", Authorization="Bearer s3cret").code == 200


@pytest.mark.parametrize(
    "query",
    [
        "run=..&name=outside.log",
        "run=../..&name=trainci.toml",
        f"run={RUN}&name=../outside.log",
        f"run={RUN}&name=%2fetc%2fpasswd",
        f"run={RUN}&name=events.jsonl",
        f"run={RUN}&name=link.log",
        f"run={RUN}%00&name=00000.log",
        "run=&name=outside.log",
        "run=linked&name=outside.log",
    ],
)
def test_no_file_but_a_runs_own_logs_is_given_out(server: Server, state: StatePaths, query: str) -> None:
    (state.runs.parent / "outside.log").write_text("secret")
    (state.runs / "outside.log").write_text("secret")
    (state.runs / RUN / "link.log").symlink_to(state.runs / "outside.log")
    (state.runs / "linked").symlink_to(state.runs.parent)
    for path in ("/log", "/raw"):
        answer = server.get(f"{path}?{query}")
        assert answer.code == 404 and "secret" not in answer.text


def test_a_log_is_given_by_ranges(server: Server, state: StatePaths) -> None:
    whole = (state.runs / RUN / "00000.log").read_bytes()
    answer = server.get(f"/raw?{LOG}")
    assert answer.body == whole and answer.headers["content-type"] == "text/plain; charset=utf-8"
    middle = server.get(f"/raw?{LOG}", Range="bytes=10-19")
    assert (middle.code, middle.body) == (206, whole[10:20])
    assert middle.headers["content-range"] == f"bytes 10-19/{len(whole)}"
    beyond = server.get(f"/raw?{LOG}", Range=f"bytes={len(whole)}-")
    assert (beyond.code, beyond.body) == (416, b"")


def test_a_log_of_a_gigabyte_fills_neither_the_memory_nor_a_page(server: Server, state: StatePaths) -> None:
    log = state.runs / RUN / "00000.log"
    with log.open("r+b") as file:
        file.truncate(1 << 30)
        file.seek(0, 2)
        file.write(b"\nthe end\n")
    before = _resident(server.pid)
    shown = server.get(f"/log?{LOG}")
    assert "the end" in shown.text and len(shown.body) < 1_000_000
    assert len(server.get(f"/log?{LOG}&from=500000000").body) < 1_000_000
    assert server.get(f"/raw?{LOG}", Range="bytes=-9").body == b"\nthe end\n"
    with closing(socket.create_connection(("127.0.0.1", server.port))) as connection:
        connection.sendall(f"GET /raw?{LOG} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        got = 0
        while data := connection.recv(1 << 20):
            got += len(data)
    assert got > 1 << 30
    assert _resident(server.pid) - before < 50 << 20


def _resident(pid: int) -> int:
    """The most memory that the process ever had, in bytes."""
    return int(re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0]) << 10


def test_a_run_that_goes_on_shows_what_runs_and_what_waits(server: Server, state: StatePaths) -> None:
    run_id = "20260102-000000-000000"
    told = served.add_run(state, run_id, commit="fedcba", at=1000.0)
    going = [event for event in told if not isinstance(event, events.Concluded | events.RunEnded)]
    cut = next(place for place, event in enumerate(going) if isinstance(event, events.Ended))
    RunPaths(state, run_id).events.unlink()
    log = EventLog(RunPaths(state, run_id), print)
    for event in going[:cut]:
        log(event)
    with closing(open_store(state)) as store:
        store.begin_run("20260103-000000-000000", "", "", 5.0)
    page = server.get(f"/run?id={run_id}").text
    assert "0 of 3 tests are done" in page and "What goes on" in page and "data-live" in page
    assert "running" in page and "/live.js" in page
    log.close()
    page = server.get(f"/run?id={run_id}").text
    assert "What goes on" not in page and "/live.js" not in page, "its runner is gone"


def test_what_is_new_of_a_run_is_told_while_it_goes_on(state: StatePaths) -> None:
    """Server-sent events: the page as it is at once, again when it has become another, and an end."""
    log = EventLog(RunPaths(state, RUN), print)
    planned = tuple(events.Planned(test, 1, "suite") for test in served.TESTS[:1])
    log(events.RunStarted(5.0, RUN, "c0ffee", "2 GPUs", planned))
    with served.running(state.root) as server, closing(server.stream(f"/live/run?id={RUN}")) as told:
        assert told.headers["content-type"].startswith("text/event-stream")
        assert told.headers["content-security-policy"].startswith("default-src 'none';")
        assert "0 of 1 tests are done" in (first := told.event()) and "data-live" in first
        assert first.startswith("<main") and first.endswith("</main>")
        log(events.Queued(6.0, served.TESTS[0], 1, "0.log", 1))
        assert "1 test waits" in told.event()
        log(events.Concluded(7.0, served.TESTS[0], 1, Verdict(Outcome.PASSED, "in 1.0 s")))
        log(events.RunEnded(8.0, 0))
        log.close()
        while "data-live" in (last := told.event()):
            assert "1 of 1 tests are done" in last
        assert "Nothing is red" in last and told.event() == "", "it ends"


def test_of_what_is_past_or_not_there_a_stream_tells_once(server: Server) -> None:
    for path, said in ((f"run?id={RUN}", "1 of 3 tests red"), ("run?id=none", "There is no such run")):
        with closing(server.stream(f"/live/{path}")) as told:
            assert said in told.event() and told.event() == ""


def test_who_is_told_what_is_new_does_not_keep_the_server_from_ending(state: StatePaths) -> None:
    with served.running(state.root) as server:
        told = server.stream("/live/")
        assert "No run of this repository goes on" in told.event()
        began = time.monotonic()
    # Within what it waits for, and not when a browser happens to be closed.
    assert time.monotonic() - began < 30 and told.event() == ""
    told.close()
    assert server.said() == ""


def test_however_many_ask_at_once_a_hundred_are_told_and_the_pages_answer(server: Server) -> None:
    asked = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(130)]
    try:
        for one in asked:
            one.sendall(b"GET /live/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answers = [one.recv(len("HTTP/1.1 200")).decode() for one in asked]
        assert answers.count("HTTP/1.1 200") == 100 and answers.count("HTTP/1.1 503") == 30
        assert server.get("/runs").code == 200
    finally:
        for one in asked:
            one.close()
    # Each that has gone is told no more, and another has its place.
    wait_until(lambda: server.get("/live/run?id=none").code == 200, "a free place")


def test_a_stream_needs_the_token_too(state: StatePaths) -> None:
    with served.running(state.root, TRAINCI_SERVE_TOKEN="s3cret") as server:
        assert server.get("/live/").code == 401
        assert server.get("/live/", Host="evil.example").code == 421


def test_health_shows_what_is_not_handed_out_who_did_what_and_the_tests_in_quarantine(state: StatePaths) -> None:
    entries = "".join(
        f'[[quarantine]]\ntest = "tests/{name}.py"\nowner = "ann"\nreason = "a <b>race</b>"\nuntil = {until}\n'
        for name, until in (("test_a", "2999-12-31"), ("test_b", "2020-01-01"))
    )
    with (state.root / "trainci.toml").open("a") as file:
        file.write(entries)
    with served.running(state.root) as server:
        assert "Nothing is in the ledger" in server.get("/health").text
        maintainer = Maintainer(served.lock_dir(state.root), {})
        maintainer.quarantine("cpu-0", "fell <b>off</b> the bus\u202e")
        maintainer.drain("cpu-1", "for a new driver")
        page = server.get("/health").text
    assert "<td>fell &lt;b&gt;off&lt;/b&gt; the bus\\u202e</td>" in page and ">quarantined<" in page
    assert ">drained<" in page and page.count("for a new driver") == 2
    assert re.search(r"<td>drain</td><th scope=.row.>cpu-1</th>", page)
    assert "a &lt;b&gt;race&lt;/b&gt;" in page and "2999-12-31" in page and "over since 2020-01-01" in page


def test_now_shows_the_runs_whose_runners_live(state: StatePaths) -> None:
    with closing(open_store(state)) as store:
        store.begin_run(RUN, "c0ffee", "2 GPUs", 5.0)
        store.begin_run("20260101-000000-killed", "c0ffee", "2 GPUs", 6.0)
    log = EventLog(RunPaths(state, RUN), print)
    log(events.RunStarted(5.0, RUN, "c0ffee", "2 GPUs", (events.Planned("tests/test_a.py", 1, "suite"),)))
    with served.running(state.root) as server:
        page = server.get("/").text
        assert f"{RUN}</a>: 0 of 1 tests are done" in page and "1 test waits" in page and "killed" not in page
        log.close()
        assert "No run of this repository goes on" in server.get("/").text


def test_a_run_whose_files_are_gone_is_told_from_the_history(server: Server, state: StatePaths) -> None:
    for file in (state.runs / RUN).iterdir():
        file.unlink()
    page = server.get(f"/run?id={RUN}").text
    assert "Its files are not here" in page and page.count("outcome good") == 2


def test_the_grid_says_how_long_each_suite_took_to_become_green(server: Server, state: StatePaths) -> None:
    assert ">1 of 2 red<" in server.get("/grid").text
    served.add_run(state, "20260102-000000-000000", ("none.py", *served.TESTS), at=3600.0)
    page = server.get("/grid").text
    assert re.search(r">short<.*green in 1 h 0\d min", page), page
    assert "in no suite" in page and server.get("/grid?suite=in+no+suite").text.count("none.py") >= 1


def test_without_a_history_each_page_says_so(state: StatePaths) -> None:
    with served.running(state.root) as server:
        assert "No run is known" in server.get("/runs").text
        for path in ("/", "/tests", "/grid"):
            assert server.get(path).code == 200
    assert not state.history.exists()


def test_a_broken_history_is_a_sentence_and_no_traceback(server: Server, state: StatePaths) -> None:
    for suffix in ("-wal", "-shm"):
        state.history.with_name(state.history.name + suffix).unlink(missing_ok=True)
    state.history.write_bytes(b"no database at all" * 1000)
    answer = server.get("/runs")
    assert answer.code == 503 and "history" in answer.text and "Traceback" not in answer.text


def test_an_address_that_is_taken_is_a_sentence_with_the_way_out(state: StatePaths, repository) -> None:
    repository.write("trainci.toml", "[project]\n")
    with served.running(state.root) as server:
        said = repository.trainci("serve", "--port", str(server.port))
    assert said.code == 3 and "--port" in said.err and "Traceback" not in said.err


def test_without_the_extra_it_says_what_to_install(state: StatePaths) -> None:
    program = (
        "import sys; sys.modules['uvicorn'] = None; sys.argv = ['trainci', 'serve']; "
        "from trainci.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=state.root, capture_output=True, text=True)
    assert done.returncode == 2 and "pip install 'trainci[serve]'" in done.stderr, done.stderr
