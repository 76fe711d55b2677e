"""What a run looks like: plain lines, GitHub's groups, a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import rich.console

from trainci.console.actions import GithubConsole
from trainci.console.live import LiveConsole
from trainci.console.plain import Console
from trainci.model import events
from trainci.model.device import Device, Pool
from trainci.model.run import Attempt, Cause, Ending, Outcome, Phase, Result, Run, Verdict
from trainci.model.selection import Selected, Selection
from trainci.model.tests import Test

BOTH = Phase.BOTH
PASSED = Ending(Cause.EXITED, 0)
IN_TIME = Verdict(Outcome.PASSED, "in 1.0 s")
POOL = Pool((Device(0, "cpu-0", "virtual", virtual=True),) * 8, virtual=True)


def finished(tmp_path: Path, output: str = "line 1\nassert 1 == 2\n") -> Run:
    (tmp_path / "b.log").write_text(output)
    test = Test("tests/b.py", "tests/b.py", num_gpus=4)
    attempt = Attempt(test, 1, 0.0, 1.0, 3.0, Ending(Cause.EXITED, 1), "b.log")
    results = (
        Result("tests/a.py", Verdict(Outcome.PASSED, "in 2.0 s")),
        Result("tests/b.py", Verdict(Outcome.FAILED, "exit code 1"), (attempt,)),
    )
    replay = {"tests/b.py": "trainci run --id tests/b.py --devices cpu:8"}
    return Run("run-1", "c", 0.0, 75.0, results, POOL.sentence, 1, replay)


def test_a_failure_shows_its_last_lines_its_log_and_one_replay_command(tmp_path):
    stream = io.StringIO()
    Console(stream, lambda: 0.0).summary(finished(tmp_path), tmp_path)
    text = stream.getvalue()
    assert "    | assert 1 == 2\n" in text
    assert "    log:    b.log\n" in text
    assert "    replay: trainci run --id tests/b.py --devices cpu:8\n" in text
    assert text.count("replay:") == 1


def test_every_summary_says_virtual_devices_no_gpu(tmp_path):
    stream = io.StringIO()
    Console(stream, lambda: 0.0).summary(finished(tmp_path), tmp_path)
    last = stream.getvalue().splitlines()[-1]
    assert last == "1 passed, 1 failed in 1 min 15 s · 8 virtual devices, no GPU"


def test_plain_output_is_whole_lines_with_the_tests_name(tmp_path):
    stream = io.StringIO()
    console = Console(stream, lambda: 0.0)
    for text in ("par", "tial\nprogress 1%\rprogress", " 99%\nlast without an end"):
        console(events.Output(0.0, "a.py", 1, BOTH, text.encode()))
    console(events.Ended(0.0, "a.py", 1, BOTH, PASSED))
    assert stream.getvalue().splitlines()[:3] == [
        "a.py | partial",
        "a.py | progress 99%",
        "a.py | last without an end",
    ]


def run_in_actions(
    tmp_path: Path, output: str, tests: tuple[str, ...] = ("a.py",), ends: tuple[str, ...] = ()
) -> list[str]:
    stream = io.StringIO()
    console = GithubConsole(stream, lambda: 0.0, tmp_path, "token")
    for test in tests:
        (tmp_path / f"{test}.log").write_text(output)
        console(events.Queued(0.0, test, 1, f"{test}.log", 1))
        console(events.Started(0.0, test, 1, BOTH, 1))
    for test in tests:
        console(events.Output(0.0, test, 1, BOTH, output.encode()))
    for test in ends or tests:
        console(events.Ended(0.0, test, 1, BOTH, PASSED))
        console(events.Concluded(0.0, test, 1, IN_TIME))
    return stream.getvalue().splitlines()


def test_under_actions_a_tests_output_is_one_group(tmp_path):
    lines = run_in_actions(tmp_path, "hello\n")
    assert lines[0] == "::group::a.py"
    assert "a.py | hello" in lines
    assert lines.index("::endgroup::") > lines.index("a.py | hello")


@pytest.mark.parametrize("ends", [("a.py", "b.py"), ("b.py", "a.py")])
def test_under_actions_groups_of_concurrent_tests_never_mix(tmp_path, ends):
    lines = run_in_actions(tmp_path, "hello\n", ("a.py", "b.py"), ends)
    assert commands_taken(lines) == ["::group::a.py", "::endgroup::", "::group::b.py", "::endgroup::"]
    bounds = [i for i, line in enumerate(lines) if line.startswith(("::group::", "::endgroup::"))]
    inside = [lines[start:end] for start, end in zip(bounds[::2], bounds[1::2], strict=True)]
    for part, own, other in zip(inside, ("a.py", "b.py"), ("b.py", "a.py"), strict=True):
        assert f"{own} | hello" in part
        assert not any(other in line for line in part)
    assert sum("passed, in 1.0 s" in line for line in lines) == 2


def commands_taken(lines: list[str]) -> list[str]:
    """The workflow commands that the runner would obey (the stop-commands rule of GitHub's documentation)."""
    taken, stopped = [], ""
    for line in lines:
        if stopped:
            stopped = "" if line == f"::{stopped}::" else stopped
        elif line.startswith("::stop-commands::"):
            stopped = line.removeprefix("::stop-commands::")
        elif line.lstrip().startswith("::") or "##[" in line:
            taken.append(line)
    return taken


def test_under_actions_an_attempt_that_could_not_be_started_is_a_line(tmp_path):
    stream = io.StringIO()
    console = GithubConsole(stream, lambda: 0.0, tmp_path, "token")
    console(events.Queued(0.0, "a.py", 1, "never.log", 1))
    never_started = Ending(Cause.NEVER_STARTED, detail="it could not be started: Too many open files")
    console(events.Ended(0.0, "a.py", 1, BOTH, never_started))
    assert "a.py: attempt 1 was lost: it could not be started: Too many open files" in stream.getvalue()


def test_under_actions_nothing_that_a_test_prints_is_a_command(tmp_path):
    lines = run_in_actions(tmp_path, "::error::boo\n::set-output name=x::y\n")
    assert commands_taken(lines) == ["::group::a.py", "::endgroup::"]


def test_under_actions_a_failure_is_an_annotation_and_its_lines_are_no_commands(tmp_path):
    stream = io.StringIO()
    run = finished(tmp_path, output="::error::from the test\n")
    GithubConsole(stream, lambda: 0.0, tmp_path, "token").summary(run, tmp_path)
    assert commands_taken(stream.getvalue().splitlines()) == [
        "::error file=tests/b.py,line=1,title=tests/b.py::exit code 1"
    ]


@pytest.mark.parametrize(("count", "shown"), [(10, 10), (11, 9), (40, 9)])
def test_under_actions_failures_beyond_what_github_shows_of_a_step_are_counted(tmp_path, count, shown):
    stream = io.StringIO()
    results = tuple(Result(f"{number}.py", Verdict(Outcome.FAILED, "exit code 1")) for number in range(count))
    passed = Result("passed.py", Verdict(Outcome.PASSED, "in 1 s"))
    run = Run("1", "", 0, 1, (passed, *results), "no GPU", 1, {})
    GithubConsole(stream, lambda: 0.0, tmp_path, "token").summary(run, tmp_path)
    taken = commands_taken(stream.getvalue().splitlines())
    assert taken[:shown] == [
        f"::error file={number}.py,line=1,title={number}.py::exit code 1" for number in range(shown)
    ]
    assert taken[shown:] == (
        [f"::error::{count - shown} more errors: see the end of this step's log."] if shown < count else []
    )
    assert all(f"{number}.py" in stream.getvalue() for number in range(count))


def test_under_actions_a_tests_name_is_no_command(tmp_path):
    """Runners obey ``##[command]`` in the middle of a line, too."""
    stream = io.StringIO()
    console = GithubConsole(stream, lambda: 0.0, tmp_path, "token")
    hostile = Test("tests/test_##[stop-commands]x.py", "tests/test_##[stop-commands]x.py")
    console(events.Waiting(0.0, hostile.id, 1, BOTH, 1))
    result = Result(hostile.id, Verdict(Outcome.REFUSED, "no"))
    console.summary(Run("1", "", 0, 1, (result,), "no GPU", 1, {hostile.id: f"trainci {hostile.id}"}), tmp_path)
    lines = stream.getvalue().splitlines()
    assert "tests/test_#\\x23[stop-commands]x.py: waits for its devices" in lines[0]
    (taken,) = commands_taken(lines)
    assert taken.startswith("::error file=tests/test_##,line=1,title=tests/test_##[stop-commands]x.py::no")


def test_a_terminal_shows_what_runs_against_what_was_expected(tmp_path):
    stream = io.StringIO()
    tests = [Test("a.py", "a.py", num_gpus=4, timeout=60), Test("b.py", "b.py", num_gpus=8, timeout=60)]
    selection = Selection(tuple(Selected(test, "") for test in tests))
    console = LiveConsole(stream, lambda: 10.0, selection, POOL, {"a.py": 30.0, "b.py": 20.0})
    with console:
        console(events.Queued(0.0, "a.py", 1, "l", 4))
        console(events.Started(5.0, "a.py", 1, BOTH, 1))
        painted = rich.console.Console(file=io.StringIO(), width=160)
        painted.print(console._render())
        text = painted.file.getvalue()  # type: ignore[attr-defined]
    assert "5.0 s of about 30.0 s" in text
    assert "4 of 8 virtual devices in use" in text
    assert "1 waiting" in text
    assert "ends about" in text


def test_what_a_terminal_shows_does_not_wrap_at_80_columns():
    names = [f"tests/test_{'long_' * 15}{number}.py[--family qwen3-moe]" for number in range(12)]
    selection = Selection(tuple(Selected(Test(name, name, num_gpus=1), "") for name in names))
    console = LiveConsole(io.StringIO(), lambda: 10.0, selection, POOL, dict.fromkeys(names, 30.0))
    for name in names[:2]:
        console(events.Queued(0.0, name, 1, "l", 1))
        console(events.Started(5.0, name, 1, BOTH, 1))
    for name in names[2:]:
        console(events.Concluded(6.0, name, 1, IN_TIME))
    painted = rich.console.Console(file=io.StringIO(), width=80)
    painted.print(console._render())
    lines = painted.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 3, lines
    assert lines[0].startswith("▶  tests/test_long_") and "1 device" in lines[0]
    assert "5.0 s of about 30.0 s" in lines[0]
    assert (
        lines[2].strip().startswith("2 of 8 virtual devices in use · 10 passed · 0 not passed · 10 waiting · ends ")
    )


def test_a_prepare_phase_is_said_and_its_last_line_is_not_glued_to_what_follows():
    stream = io.StringIO()
    console = Console(stream, lambda: 0.0)
    console(events.Started(0.0, "a.py", 1, Phase.PREPARE, 1))
    console(events.Output(0.0, "a.py", 1, BOTH, b"half"))
    console(events.Ended(0.0, "a.py", 1, Phase.PREPARE, PASSED))
    console(events.Output(0.0, "a.py", 1, BOTH, b"whole\n"))
    lines = [line.partition("] ")[2] or line for line in stream.getvalue().splitlines()]
    assert lines == [
        "a.py: prepares, attempt 1; it holds no device yet",
        "a.py | half",
        "a.py: prepared",
        "a.py | whole",
    ]


def test_the_group_of_a_test_holds_its_prepare_phase(tmp_path):
    stream = io.StringIO()
    console = GithubConsole(stream, lambda: 0.0, tmp_path, "token")
    first, then = ("a.py", 1, Phase.PREPARE), ("a.py", 1, Phase.EXECUTE)
    for event in (
        events.Queued(0.0, "a.py", 1, "a.log", 1),
        events.Started(0.0, *first, 1),
        events.Output(0.0, *first, b"downloads\n"),
        events.Ended(0.0, *first, PASSED),
        events.Started(0.0, *then, 2),
        events.Output(0.0, *then, b"trains\n"),
        events.Ended(0.0, *then, PASSED),
    ):
        console(event)
    lines = stream.getvalue().splitlines()
    begin, end = lines.index("::group::a.py"), lines.index("::endgroup::")
    assert begin < lines.index("a.py | downloads") < lines.index("a.py | trains") < end
    assert lines.count("::group::a.py") == 1


@pytest.mark.parametrize("test_id", ["a.py[/data/model]", "a.py[slow]", "a.py[[bold]]"])
def test_a_terminal_shows_an_id_as_it_is(test_id):
    test = Test(test_id, "a.py", num_gpus=1)
    console = LiveConsole(io.StringIO(), lambda: 0.0, Selection((Selected(test, ""),)), POOL, {})
    with console:
        console(events.Queued(0.0, test_id, 1, "l", 1))
        painted = rich.console.Console(file=io.StringIO(), width=160)
        painted.print(console._render())
    assert test_id in painted.file.getvalue()


def test_output_that_comes_before_its_start_is_in_the_group_too(tmp_path):
    """It comes by a shorter way than the event that says so."""
    stream = io.StringIO()
    console = GithubConsole(stream, lambda: 0.0, tmp_path, "token")
    console(events.Queued(0.0, "a.py", 1, "a.log", 1))
    console(events.Output(0.0, "a.py", 1, BOTH, b"first\n"))
    console(events.Started(0.0, "a.py", 1, BOTH, 1))
    console(events.Ended(0.0, "a.py", 1, BOTH, PASSED))
    lines = stream.getvalue().splitlines()
    assert lines.index("::group::a.py") < lines.index("a.py | first") < lines.index("::endgroup::")
    assert lines.count("::group::a.py") == 1


def test_a_second_attempt_that_began_in_another_tests_group_is_shown_whole_at_its_end(tmp_path):
    stream = io.StringIO()
    console = GithubConsole(stream, lambda: 0.0, tmp_path, "token")
    lost = Ending(Cause.LOST, detail="gone")
    for test, attempt in (("a.py", 1), ("b.py", 1)):
        console(events.Queued(0.0, test, attempt, f"{test}.{attempt}.log", 1))
        console(events.Started(0.0, test, attempt, BOTH, 1))
    console(events.Ended(0.0, "b.py", 1, BOTH, lost))
    (tmp_path / "b.py.2.log").write_text("early\nlate\n")
    console(events.Queued(0.0, "b.py", 2, "b.py.2.log", 1))
    console(events.Started(0.0, "b.py", 2, BOTH, 1))
    console(events.Output(0.0, "b.py", 2, BOTH, b"early\n"))
    console(events.Ended(0.0, "a.py", 1, BOTH, PASSED))
    console(events.Output(0.0, "b.py", 2, BOTH, b"late\n"))
    console(events.Ended(0.0, "b.py", 2, BOTH, PASSED))
    lines = stream.getvalue().splitlines()
    last = lines[len(lines) - lines[::-1].index("::group::b.py") :]
    assert [line for line in last if line.startswith("b.py | ")] == ["b.py | early", "b.py | late"]
