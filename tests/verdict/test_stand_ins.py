"""What a test stands in for, or got and did not want, is its own; a fault that a line tells of is not."""

from __future__ import annotations

import pytest
from verdict.test_diagnose import BUSY, HEADER, judged

from trainci.model.diagnosis import Blame

GONE = "requests.exceptions.ConnectionError: no network"
THROWS = (
    '    monkeypatch.setattr(hub, "get", lambda *a: (_ for _ in ()).throw(requests.ConnectionError("no network")))'
)


@pytest.mark.parametrize(
    ("log", "blame"),
    [
        (("    def test_offline(monkeypatch):", THROWS, '>       load("gpt2")', f"E       {GONE}"), Blame.CODE),
        (("    @respx.mock", '>       client.get("m")', f"E       {BUSY}", "src/hub.py:44: HTTPError"), Blame.CODE),
        (
            ("    def test_load():", '>       load("gpt2")', f"E       {BUSY}", "src/hub.py:44: HTTPError"),
            Blame.MACHINE,
        ),
        ((THROWS, *("    x = 1",) * 80, f"E       {BUSY}"), Blame.MACHINE),
        (('    respx_mock.get("m").respond(503)', f"E       {BUSY}"), Blame.CODE),
        (("    mock_data ............ True", f"E       {BUSY}"), Blame.MACHINE),
        (
            (">       raise OSError(errno.EIO, message)", "E       OSError: [Errno 5] Input/output error"),
            Blame.CODE,
        ),
        (
            (
                ">           raise ConnectTimeout(e)",
                f"E           {BUSY}",
                "/venv/lib/python3.12/site-packages/requests/adapters.py:688: ConnectTimeout",
            ),
            Blame.MACHINE,
        ),
        ((HEADER, '  File "/repo/tests/run.py", line 9, in <lambda>', THROWS, GONE), Blame.CODE),
    ],
)
def test_a_tests_stand_in_is_its_own_where_the_log_has_no_section_of_failures(
    log: tuple[str, ...], blame: Blame
) -> None:
    assert judged(*log).blame is blame


@pytest.mark.parametrize(
    "line",
    [
        '    errors_test.go:21: got "dial tcp: lookup data.example.org: no such host", want "not found"',
        '    client_test.go:44: expected 3 attempts, got 1: Get "https://data.example.org": connection reset',
        '    sched_test.go:7: got "pod was evicted", want ""',
        'expected "503 Service Unavailable: https://data.example.org", received "200 OK"',
    ],
)
def test_what_a_test_got_and_did_not_want_is_no_fault_of_whom_it_names(line: str) -> None:
    assert judged(line, "FAIL").blame is Blame.CODE


@pytest.mark.parametrize(
    "line",
    [
        '    x_test.go:17: Get "https://data.example.org/x.zip": dial tcp 142.251.218.81:443: i/o timeout',
        'error: pod "train-0" was evicted',
        "Downloading https://data.example.org/x failed: stream error: stream ID 7; NO_ERROR; received from peer",
        "node gpu-7 became unusable",
        "curl: (56) try again later: connection reset by peer https://data.example.org",
    ],
)
def test_a_fault_that_is_told_of_is_the_machines(line: str) -> None:
    assert judged(line, "FAIL").blame is Blame.MACHINE


def test_whom_a_line_names_counts_less_than_the_programs_mistake_that_it_names() -> None:
    assert judged("build node 3 failed to start: KeyError('actor')").blame is Blame.CODE
    assert judged("Failed to download https://data.example.org: checksum was 1 but wanted 2").blame is Blame.UNSURE
    assert judged("Failed to download https://data.example.org/x: permission denied").blame is not Blame.MACHINE


@pytest.mark.parametrize(("name", "blame"), [("SEED", Blame.MACHINE), ("HF_ENDPOINT", Blame.CODE)])
def test_a_variable_that_a_test_sets_stands_in_where_it_says_who_is_asked(name: str, blame: Blame) -> None:
    sets = f'    monkeypatch.setenv("{name}", "1")'
    assert judged("    def test_load(monkeypatch):", sets, '>       load("gpt2")', f"E       {BUSY}").blame is blame


def test_a_tests_name_is_no_fault_and_what_is_printed_behind_it_is_one() -> None:
    assert judged("tests/test_disk.py::test_no_space_left_on_device[Errno 28] FAILED").blame is Blame.CODE
    assert judged("tests/test_a.py::test_b[x-1] HW Exception by GPU node-3 reason :GPU Hang").blame is Blame.MACHINE


QUOTED = "RuntimeError: worker ended: NCCL error: unhandled system error"


@pytest.mark.parametrize(
    ("line", "said", "own"),
    [
        ('raise RuntimeError("NCCL error: unhandled system error")', QUOTED.replace("worker ended: ", ""), True),
        ('raise torch.OutOfMemoryError("CUDA out of memory")', "torch.OutOfMemoryError: CUDA out of memory", True),
        ('raise RuntimeError(f"worker ended: {said}")', QUOTED, False),
        ("raise last", QUOTED, False),
        ('raise RuntimeError("No CUDA GPUs are available")', "RuntimeError: No CUDA GPUs are available", False),
    ],
)
@pytest.mark.parametrize("file", ["tests/test_fit.py", "src/fit.py"])
def test_what_a_line_of_a_test_says_in_its_own_words_is_its_own(line: str, said: str, own: bool, file: str) -> None:
    pytests = judged("=== FAILURES ===", "___ test_fit ___", f"{file}:9: in step", f"    {line}", f"E   {said}")
    pythons = judged(HEADER, f'  File "/repo/{file}", line 9, in step', f"    {line}", said)
    for found in (pytests, pythons):
        assert (found.blame is Blame.CODE) is (own and file.startswith("tests"))
