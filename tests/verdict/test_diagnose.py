"""What decides between lines of one log, beside what the cases show as a whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trainci.log_files import packaged_rules
from trainci.model.diagnosis import Blame, Diagnosis, Facts
from trainci.verdict.diagnose import diagnose
from trainci.verdict.log_reader import LogReader
from trainci.verdict.went_on import announces

ILLEGAL = "RuntimeError: CUDA error: an illegal memory access was encountered"
GLOO = "/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553"
ECC = "NVRM: Xid (PCI:0000:3b:00): 94, Contained: Uncorrectable ECC error"


def judged(*lines: str, facts: Facts | None = None) -> Diagnosis:
    reader = LogReader(packaged_rules())
    reader.feed(lines)
    return diagnose(reader.finish(), facts or Facts(exit_code=1))


def raised(text: str) -> tuple[str, ...]:
    return ("Traceback (most recent call last):", '  File "/repo/t.py", line 1, in <module>', "    run()", text)


def test_what_fails_on_a_device_that_broke_before_is_the_machines() -> None:
    assert judged(ECC, *raised(ILLEGAL)).blame is Blame.MACHINE
    assert judged(*raised(ILLEGAL)).blame is Blame.CODE
    assert judged(ECC, *raised("KeyError: 'xid'")).blame is not Blame.MACHINE


@pytest.mark.parametrize(
    ("served", "blame"),
    [
        ("INFO: Uvicorn running on http://0.0.0.0:30000", Blame.UNSURE),
        ("INFO: Uvicorn running on http://0.0.0.0:30001", Blame.MACHINE),
        ("started 4 workers", Blame.MACHINE),
    ],
)
def test_a_port_that_the_log_says_was_served_before_may_be_the_tests_own(served: str, blame: Blame) -> None:
    taken = (
        "OSError: [Errno 98] error while attempting to bind on address ('0.0.0.0', 30000): address already in use"
    )
    assert judged(served, *raised(taken)).blame is blame


TAKEN = "OSError: [Errno 98] Address already in use"


@pytest.mark.parametrize(
    ("source", "printed", "blame"),
    [
        (("    a = Server(port=6123)", ">   b = Server(port=6123).start()"), "", Blame.CODE),
        (("    port = 6123", ">   b = Server(port=6123).start()"), "", Blame.MACHINE),
        (('    a.bind(("127.0.0.1", 6123))', '>   b.bind(("127.0.0.1", 6123))'), "", Blame.CODE),
        (('>   b.bind(("127.0.0.1", 6123))',), "INFO: bound to 127.0.0.1:6123", Blame.UNSURE),
        (('>   b.bind(("127.0.0.1", 6123))',), "INFO: bound to 127.0.0.1:6124", Blame.MACHINE),
    ],
)
def test_a_port_that_a_test_takes_twice_by_itself_is_not_the_machines(
    source: tuple[str, ...], printed: str, blame: Blame
) -> None:
    failed = ("=== FAILURES ===", "___ test_pair ___", *source, "tests/test_a.py:9: in test_pair", f"E   {TAKEN}")
    assert judged(*failed, "--- Captured stdout call ---", printed).blame is blame


def test_a_line_that_names_nobody_is_about_whom_the_command_above_it_names() -> None:
    refused = "curl: (22) The requested URL returned error: "
    for url, status, machine in (
        ("http://127.0.0.1:30000/health", 503, False),
        ("https://data.example.org/a", 503, True),
        ("http://localhost:8123/a", 404, False),
    ):
        said = judged(f"+ curl -sf {url}", f"{refused}{status}").blame
        assert (said is Blame.MACHINE) is machine, url
        assert said is not Blame.CONFIG, url
    named = "curl: (7) Failed to connect to data.example.org port 443 after 130001 ms"
    assert judged("+ curl -sf http://127.0.0.1/a || curl -sf $URL", named).blame is Blame.MACHINE
    sources = ("tests/test_a.py:9: in test_health", '    urlopen("http://localhost:8123/health")')
    gone = "E   urllib.error.URLError: <urlopen error [Errno 111] Connection refused>"
    for place in (sources, ("=== FAILURES ===", "___ test_a ___", *sources)):
        assert judged(*place, gone).blame is not Blame.MACHINE


def test_a_bus_error_is_the_machines_where_anything_says_that_a_disk_is_full() -> None:
    warning = "UserWarning: [Errno 28] No space left on device.  It will go on without a cache"
    assert judged("Fatal Python error: Bus error").blame is Blame.UNSURE
    assert judged(warning, "Fatal Python error: Bus error").blame is Blame.MACHINE


def test_a_disk_that_had_room_again_may_have_been_filled_by_the_test() -> None:
    full = raised("OSError: [Errno 28] No space left on device")
    assert judged(*full).blame is Blame.MACHINE
    assert judged(*full, facts=Facts(exit_code=1, disk_full=False)).blame is Blame.UNSURE


def test_an_error_without_a_host_is_about_the_local_server_that_another_line_names() -> None:
    cut = "aiohttp.client_exceptions.ClientPayloadError: Response payload is not completed"
    refused = (
        "requests.exceptions.ConnectionError: HTTPConnectionPool(host='127.0.0.1', port=8000): Max retries exceeded"
    )
    assert judged(*raised(refused), cut).blame is Blame.UNSURE
    assert judged(cut).blame is Blame.MACHINE


def test_an_assertion_is_the_codes_whatever_it_quotes_of_memory() -> None:
    quoted = raised("AssertionError: expected 'CUDA out of memory. Tried to allocate 2.00 GiB' to be raised")
    assert judged(*quoted, facts=Facts(exit_code=1, foreign_memory=True)).blame is Blame.CODE


def test_a_server_that_fails_ends_its_own_processes_and_nobody_from_outside_did() -> None:
    known = Facts(exit_code=1, kernel_oom=False)
    killed = "RuntimeError: server process exited with exit code -9"
    assert judged("exitcode  : -9 (pid: 4711)", facts=known).blame is Blame.MACHINE
    quit_ = "Received sigquit from a child process. It usually means the child failed."
    assert judged(quit_, "exitcode  : -9 (pid: 4711)", killed, facts=known).blame is Blame.UNSURE


RESET = "requests.exceptions.ConnectionError: ('Connection aborted.', ConnectionResetError(104, 'reset by peer'))"
BUSY = "requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url: https://data.example.org/a"
HEADER = "Traceback (most recent call last):"
OWN = '  File "/repo/tests/faults.py", line 9, in fetch'
LIBRARY = '  File "/venv/lib/python3.12/site-packages/requests/models.py", line 1024, in raise_for_status'
MOCK = '  File "/usr/lib/python3.12/unittest/mock.py", line 1198, in _execute_mock_call'
RAISE = "    raise HTTPError(message)"


@pytest.mark.parametrize(
    ("frames", "blame"),
    [
        ((OWN, "    response.raise_for_status()", LIBRARY, RAISE), Blame.MACHINE),
        ((OWN, "    snapshot_download(name)"), Blame.MACHINE),
        ((OWN, RAISE), Blame.CODE),
        ((OWN, "    client.get(url)", MOCK, "    raise effect"), Blame.CODE),
        ((MOCK, "    return effect(*args)", LIBRARY, RAISE), Blame.CODE),
    ],
)
def test_a_servers_fault_that_the_program_raises_itself_is_its_own(frames: tuple[str, ...], blame: Blame) -> None:
    assert judged(HEADER, *frames, BUSY).blame is blame


@pytest.mark.parametrize(
    ("before", "place", "blame"),
    [
        (">       raise HTTPError(message)", "src/faults.py:9: HTTPError", Blame.CODE),
        (
            ">       raise HTTPError(message)",
            "/venv/lib/python3.12/site-packages/requests/models.py:9: HTTPError",
            "M",
        ),
        (">       response.raise_for_status()", "src/fetch.py:9: HTTPError", "M"),
        (">       raise effect", "/usr/lib/python3.12/unittest/mock.py:1139: HTTPError", Blame.CODE),
    ],
)
def test_and_where_pytest_tells_of_it(before: str, place: str, blame: Blame | str) -> None:
    failures = ("=== FAILURES ===", "___ test_fetch ___", before, f"E       {BUSY}", "", place)
    assert judged(*failures).blame is (Blame.MACHINE if blame == "M" else blame)


def test_a_system_error_that_the_program_raises_itself_is_its_own() -> None:
    full = "OSError: [Errno 28] No space left on device"
    assert judged(HEADER, OWN, "    raise OSError(errno.ENOSPC, text)", full).blame is Blame.CODE
    assert judged(HEADER, OWN, "    torch.save(state, path)", full).blame is Blame.MACHINE


def test_the_name_of_a_test_says_nothing_whatever_it_holds() -> None:
    assert judged("tests/test_kinds.py::test_of[No space left on device-machine] FAILED").rule == "exit-code"
    summary = "FAILED tests/test_kinds.py::test_of[No space left - on device] - AssertionError: assert 1 == 2"
    assert judged(summary).rule == "assertion"


def test_a_traceback_within_a_line_of_json_is_read() -> None:
    inside = (
        '{"msg": "uncaught", "exc": "Traceback (most recent call last):\\n  File \\"/repo/t.py\\", line 1, in f\\n'
    )
    busy = '{"msg": "fetch failed", "error": "https://data.example.org/a: 503 Service Unavailable"}'
    assert judged(busy, inside + 'AssertionError: 2.4"}', '{"msg": "bye"}').rule == "assertion"
    assert judged(busy).blame is Blame.MACHINE


def test_nccl_warns_of_what_it_dies_of_and_others_of_what_they_try_again() -> None:
    link = "NET/IB : mlx5_0:1 async fatal event: port error"
    assert judged(f"gpu-01:1:2 [0] NCCL WARN {link}").rule == "nccl-system-error"
    steps = [f"step {number} loss 1.0" for number in range(5)]
    assert judged(f"gpu-01:1:2 [0] NCCL WARN {link}", *steps, *raised("KeyError: 'a'")).blame is Blame.CODE


@pytest.mark.parametrize("host", ["reward-server:8000", "redis.default.svc:6379", "testserver", "127.0.0.1:80"])
def test_a_server_of_the_jobs_own_network_is_not_the_machine(host: str) -> None:
    said = f"httpx.HTTPStatusError: Server error '503 Service Unavailable' for url 'http://{host}/generate'"
    assert judged(*raised(said)).blame is not Blame.MACHINE
    late = f"aiohttp.client_exceptions.ServerTimeoutError: Connection timeout to host http://{host}/score"
    assert judged(*raised(late)).blame is not Blame.MACHINE


def test_of_two_ranks_that_fail_the_one_that_the_launcher_saw_first_counts() -> None:
    disk, mistake = "OSError: [Errno 5] Input/output error: '/data'", "ValueError: 9000 is more than 8192"
    both = [f"[rank{rank}]: {line}" for rank, said in ((0, disk), (2, mistake)) for line in raised(said)]
    report = ["Root Cause (first observed failure):", "[0]:"]
    end = "  exitcode  : 1 (pid: 4716)"
    assert judged(*both, *report, "  rank      : 0 (local_rank: 0)", end).blame is Blame.MACHINE
    assert judged(*both, *report, "  rank      : 2 (local_rank: 2)", end).blame is Blame.CODE


def test_a_line_of_source_says_nothing() -> None:
    source = '    raise OSError(28, "No space left on device")'
    assert judged(source).rule == "exit-code"


def test_a_cut_connection_to_no_named_host_may_be_one_to_the_tests_own_server() -> None:
    cut = "curl: (52) Empty reply from server"
    assert judged(cut).blame is Blame.MACHINE
    assert judged("INFO: Uvicorn running on http://0.0.0.0:30000", cut).blame is Blame.UNSURE
    named = "curl: (7) Failed to connect to data.example.org port 443 after 130001 ms"
    assert judged("INFO: Uvicorn running on http://0.0.0.0:30000", named).blame is Blame.MACHINE


def _ranks(order: tuple[int, ...], root: int, unfinished: str) -> list[str]:
    """Of three ranks the last raises an error, behind a line that is ``unfinished``; torchrun names ``root``."""
    said = {rank: raised(f"RuntimeError: [{GLOO}] Connection closed by peer [127.0.0.1]:51401") for rank in (0, 1)}
    said[2] = raised("RuntimeError: the reward model gave 3 of 4")
    own = {rank: [f"[rank{rank}]: {line}" for line in lines] for rank, lines in said.items()}
    own[2][0] = f"{unfinished}{own[2][0]}"
    return [
        *(line for rank in order for line in own[rank]),
        *("Root Cause (first observed failure):", "[0]:"),
        *(f"  rank      : {root} (local_rank: {root})", "  exitcode  : 1 (pid: 11439)"),
    ]


@pytest.mark.parametrize("root", [0, 2])
@pytest.mark.parametrize("order", [(2, 0, 1), (0, 2, 1), (0, 1, 2)])
@pytest.mark.parametrize(
    "unfinished",
    ["", "step 2 loss 0.333", " 30%|███       | 3/10 [00:01<00:03,  2.1it/s]  "],
)
@pytest.mark.parametrize("worker", ["", "(Trainer pid=7) "])
def test_a_closed_connection_never_outweighs_what_a_rank_raised(
    order: tuple[int, ...], root: int, unfinished: str, worker: str
) -> None:
    lines = [f"{worker}{line}" for line in _ranks(order, root, unfinished)]
    found = judged(*lines)
    said = "RuntimeError: the reward model gave 3 of 4"
    assert (found.blame, found.rule, found.evidence) == (Blame.CODE, "exception", said)
    assert lines[found.line - 1].endswith(said)


def test_a_traceback_of_a_rank_that_a_test_only_quotes_is_none() -> None:
    lines = (
        *("=== FAILURES ===", "___ test_log ___"),
        "E       AssertionError: the log ends with this:",
        f"E         [rank2]: {HEADER}",
        "E         [rank2]: KeyError: 'x'",
        "tests/test_log.py:3: AssertionError",
    )
    assert judged(*lines).evidence == "AssertionError: the log ends with this:"


@pytest.mark.parametrize(
    ("said", "blame"),
    [
        ("FATAL: simbox.corp.net:7777 is overloaded", Blame.MACHINE),
        ("License checkout failed: unable to reach lic-01", Blame.MACHINE),
        ("redis.exceptions.TimeoutError: Timeout connecting to server cache.corp.com:6379", Blame.MACHINE),
        ("redis.exceptions.TimeoutError: Timeout connecting to server localhost:6379", Blame.UNSURE),
        ("grpc: unable to connect to 127.0.0.1:50051", Blame.UNSURE),
        ("reward error: unable to connect to http://10.0.0.7:8000/score", Blame.UNSURE),
        ("INFO connect timeout: 30, host api.openai.com", Blame.CODE),
    ],
)
def test_whose_a_fault_is_says_who_was_spoken_to_whatever_program_says_it(said: str, blame: Blame) -> None:
    assert judged(said).blame is blame
    steps = [f"step {number} loss 0.{number}" for number in range(9)]
    assert judged(said, *steps, *raised("AssertionError: loss is 3")).blame is Blame.CODE


def test_a_server_by_its_name_alone_is_the_jobs_own_and_one_with_tls_is_not() -> None:
    late = "httpx.ReadTimeout: timed out for url '{}://reward-server:8000/score'"
    assert judged(*raised(late.format("http"))).blame is Blame.UNSURE
    assert judged(*raised(late.format("https"))).blame is Blame.MACHINE


@pytest.mark.parametrize(
    ("source", "blame"),
    [
        ('requests.get("http://127.0.0.1:8000/health", timeout=1)', Blame.UNSURE),
        ('requests.get("https://data.example.org/a", timeout=1)', Blame.MACHINE),
        ("requests.get(url, timeout=1)", Blame.MACHINE),
    ],
)
def test_where_an_exception_names_no_host_the_line_that_led_to_it_may(source: str, blame: Blame) -> None:
    head, place, _, last = raised("httpx.ReadTimeout: The read operation timed out")
    assert judged(head, place, f"    {source}", last).blame is blame


def test_a_name_that_is_nearly_one_that_everybody_knows_may_be_a_slip_of_the_pen() -> None:
    unknown = "requests.exceptions.ConnectionError: Failed to resolve '{}' ([Errno -2] Name or service not known)"
    assert judged(*raised(unknown.format("hugingface.co"))).blame is Blame.UNSURE
    assert judged(*raised(unknown.format("cdn-lfs.huggingface.co"))).blame is Blame.MACHINE


def test_a_crash_on_a_device_that_broke_is_the_machines_and_a_programs_mistake_there_is_not() -> None:
    broken = Facts(signal=11, device_lost=True)
    assert judged("Fatal Python error: Segmentation fault", facts=broken).blame is Blame.MACHINE
    assert judged("Fatal Python error: Segmentation fault", facts=Facts(signal=11)).blame is Blame.CODE
    assert judged(*raised(ILLEGAL), facts=Facts(exit_code=1, xid=(94,))).blame is Blame.MACHINE
    assert judged(*raised("KeyError: 'a'"), facts=broken).blame is Blame.UNSURE


def test_what_trainci_says_of_its_own_configuration_is_no_codes_fault() -> None:
    refused = Facts(exit_code=2)
    assert judged("trainci.toml:2: not valid TOML: Unclosed array", facts=refused).blame is Blame.CONFIG
    assert judged("trainci: nope is no label, suite, test file or folder.", facts=refused).blame is Blame.CONFIG
    assert judged("trainci: step 1 of 3", facts=refused).blame is Blame.CODE


def test_what_the_host_says_of_itself_tells_more_than_that_a_process_ended() -> None:
    offline = "Cannot reach this agent any more: it went offline at 10:02"
    assert judged("make: *** [Makefile:645: test] Terminated").blame is Blame.CODE
    said = judged("make: *** [Makefile:645: test] Terminated", f"compute node gpu-07 is lost. {offline}")
    assert said.blame is Blame.MACHINE
    assert judged("make: *** [Makefile:645: test] Terminated", *raised("KeyError: 'a'")).blame is Blame.CODE


@pytest.mark.parametrize(
    "line",
    [
        "ERROR trainer: worker node 3 failed to start: KeyError('actor')",
        "ERROR model runner failed to start: unknown attention backend 'foo'",
        "ERROR: failed to resolve option 'foo'. See https://docs.ray.io/en/latest/config.html",
        "-compute node gpu-07 is unreachable, giving up",
        "agent lost the game 0:3, mean reward -1.0",
        "src/a.py: license header missing: unable to obtain license text",
    ],
)
def test_a_part_of_the_program_is_no_host_whatever_it_is_called(line: str) -> None:
    assert judged(line).blame is Blame.CODE


def test_a_rank_that_says_that_it_waited_is_no_cause_before_the_one_that_it_waited_for() -> None:
    waited = [f"[rank3]: {line}" for line in raised("RuntimeError: index.json took too long to download: 60 s")]
    late = 'botocore.exceptions.ReadTimeoutError: Read timeout on endpoint URL: "https://a.example.com/index.json"'
    assert judged(*waited, *[f"[rank0]: {line}" for line in raised(late)]).blame is Blame.MACHINE
    assert judged(*waited, *[f"[rank0]: {line}" for line in raised("KeyError: 'a'")]).blame is Blame.CODE


def test_a_programs_mistake_below_something_that_is_tried_again_is_not_tried_again() -> None:
    before = "wandb: Network error (ConnectTimeout), entering retry loop."
    after = ["wandb: View run at https://wandb.ai/a", "wandb: ERROR Failed to sync: network error", "done", "done"]
    assert judged(before, *raised("ImportError: cannot import name 'a' from 'b'"), *after).blame is Blame.CODE


def test_a_tracker_that_ended_a_rank_is_why_the_others_waited() -> None:
    waited = "[rank1]:[E1120 ProcessGroupNCCL.cpp:629] Watchdog caught collective operation timeout: WorkNCCL()"
    lost = raised("wandb.errors.errors.CommError: Run initialization has timed out after 90.0 sec")
    said = judged(waited, *[f"[rank0]: {line}" for line in lost])
    assert (said.blame, said.rule) == (Blame.MACHINE, "tracker")
    assert judged(waited, "wandb: Network error (ConnectTimeout), entering retry loop.").blame is Blame.UNSURE


def test_a_test_that_stands_in_for_a_library_raises_its_faults_itself() -> None:
    stand_in = (
        '    monkeypatch.setattr(requests, "get", lambda *a: (_ for _ in ()).throw(requests.ConnectionError("no")))'
    )
    shown = [
        "=== FAILURES ===",
        "____ test_backoff ____",
        ">   fetch('https://huggingface.co/x')",
        "E   requests.exceptions.ConnectionError: reset by peer",
        "t.py:12: ConnectionError",
    ]
    assert judged(*shown).blame is Blame.MACHINE
    assert judged(*shown[:2], stand_in, *shown[2:]).blame is Blame.CODE


def test_a_call_that_its_own_seccomp_forbids_is_the_codes_whatever_signal_tells_of_it() -> None:
    killed = Facts(signal=9, kernel_oom=False)
    assert judged(facts=killed).blame is Blame.MACHINE
    assert judged(facts=replace(killed, seccomp=True)).blame is Blame.CODE


LOOKED_AT = "process 71 ({} -L) is in the kernel's hrtimer_nanosleep since 10 min"


@pytest.mark.parametrize("last", ["+ nvidia-smi -L", "running: timeout 60 /usr/bin/rocm-smi --showid"])
def test_a_tool_that_asks_the_driver_and_gets_no_answer_until_the_time_limit_is_the_machines(last: str) -> None:
    known = Facts(timed_out=True)
    assert judged("starting", last, facts=known).rule == "driver-gone"
    assert judged("starting", last, facts=Facts(exit_code=124)).blame is Blame.MACHINE
    assert judged("starting", last, "+ python train.py", facts=known).blame is Blame.UNSURE
    assert judged("starting", last).blame is Blame.CODE


@pytest.mark.parametrize(("word", "fact"), [("timed out", "timed_out"), ("hung", "hung")])
def test_so_it_is_where_a_look_at_the_processes_says_so(word: str, fact: str) -> None:
    for command, blame in (("/usr/bin/nvidia-smi", Blame.MACHINE), ("/repo/bin/serve", Blame.UNSURE)):
        line = f"trainci: {word}: {LOOKED_AT.format(command)}"
        assert judged("starting", line, facts=Facts(**{fact: True})).blame is blame


def test_the_message_of_an_exception_ends_where_another_begins() -> None:
    gone = "openai.InternalServerError: Error code: 500 - {'detail': 'Internal Server Error'}"
    assert judged(*raised("jinja2.exceptions.UndefinedError: 'tools' is undefined"), gone).blame is Blame.CODE
    full = "OSError: [Errno 28] No space left on device"
    assert judged(*raised("trainer.SaveError: cannot save:"), full).rule == "disk-full"


@pytest.mark.parametrize("number", [5, 6, 19, 67, 74, 108, 112, 121, 123])
def test_an_error_of_a_file_system_is_one_however_a_language_numbers_it(number: int) -> None:
    for said in (
        f"OSError: [Errno {number}] x: '/data/a'",
        f"Error: x (os error {number})",
        f"Os {{ code: {number},",
    ):
        assert judged(said).rule == "file-system-broken", said


@pytest.mark.parametrize(
    ("status", "camel", "blame"),
    [
        ("UNAVAILABLE", "Unavailable", Blame.UNSURE),
        ("DEADLINE_EXCEEDED", "DeadlineExceeded", Blame.UNSURE),
        ("UNAUTHENTICATED", "Unauthenticated", Blame.CONFIG),
        ("PERMISSION_DENIED", "PermissionDenied", Blame.CONFIG),
        ("INVALID_ARGUMENT", "InvalidArgument", Blame.CODE),
    ],
)
def test_a_status_of_grpc_is_one_in_every_language_and_about_whom_it_names(
    status: str, camel: str, blame: Blame
) -> None:
    header = "grpc._channel._InactiveRpcError: <_InactiveRpcError of RPC that terminated with:"
    for host in ("10.0.0.4:50051", "api.example.org:443"):
        away = Blame.MACHINE if blame is Blame.UNSURE and "example" in host else blame
        below = (f"\tstatus = StatusCode.{status}", f'\tdetails = "call to {host} ended"', ">")
        assert judged(*raised(header), *below).blame is away
        assert judged(f"Error: rpc error: code = {camel} desc = call to {host} ended").blame is away


def test_a_container_that_was_asked_for_a_file_that_is_not_there_is_not_the_engines_fault() -> None:
    engine = "docker: Error response from daemon: failed to create shim task: OCI runtime create failed: "
    assert judged(f"{engine}mount /x: device or resource busy").blame is Blame.MACHINE
    assert judged(f'{engine}exec: "/ci/run.sh": stat /ci/run.sh: no such file').blame is Blame.CODE


def test_a_warning_is_of_what_stands_right_below_it_and_another_try_of_what_stands_near() -> None:
    assert announces(["WARNING: out of range"]) and announces(["retrying", "loading"])
    assert not announces(["WARNING: end of life", "loading"])
