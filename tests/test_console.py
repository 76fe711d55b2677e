"""What a run looks like: plain lines, GitHub's groups, a terminal."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
import rich.console

from trainci.console.actions import GithubConsole
from trainci.console.live import LiveConsole
from trainci.console.painter import Painter
from trainci.console.plain import Console
from trainci.log_files import diagnosed, packaged_rules
from trainci.model import events
from trainci.model.device import Device, Pool
from trainci.model.diagnosis import Blame, Diagnosis, Facts, Frame
from trainci.model.run import Attempt, Cause, Ending, Outcome, Phase, Result, Run, Verdict
from trainci.model.selection import Selected, Selection
from trainci.model.tests import Test
from trainci.reports.reason import place

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
    return Run("run-1", "c", 0.0, 75.0, results, POOL.sentence, 1, replay, {"tests/b.py": "tests/b.py"})


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


def planned(*tests: str) -> events.RunStarted:
    return events.RunStarted(0.0, "run-1", "c", "no GPU", tuple(events.Planned(test, 1, "") for test in tests))


def run_in_actions(
    tmp_path: Path, output: str, tests: tuple[str, ...] = ("a.py",), ends: tuple[str, ...] = ()
) -> list[str]:
    stream = io.StringIO()
    with Painter(GithubConsole(stream, lambda: 0.0, tmp_path, "token")) as painter:
        painter(planned(*tests))
        for test in tests:
            (tmp_path / f"{test}.log").write_text(output)
            painter(events.Queued(0.0, test, 1, f"{test}.log", 1))
            painter(events.Started(0.0, test, 1, BOTH, 1))
        for test in tests:
            painter(events.Output(0.0, test, 1, BOTH, output.encode()))
        for test in ends or tests:
            painter(events.Ended(0.0, test, 1, BOTH, PASSED))
            painter(events.Concluded(0.0, test, 1, IN_TIME))
    return stream.getvalue().splitlines()


def test_under_actions_a_test_that_runs_alone_streams_into_one_group(tmp_path):
    lines = run_in_actions(tmp_path, "hello\n")
    assert lines[0] == "::group::a.py"
    assert "a.py | hello" in lines
    assert lines.index("::endgroup::") > lines.index("a.py | hello")
    assert lines[-1].endswith("[1/1] passed a.py in 1.0 s")


@pytest.mark.parametrize("ends", [("a.py", "b.py"), ("b.py", "a.py")])
def test_under_actions_each_test_is_a_group_whose_title_bears_the_verdict(tmp_path, ends):
    lines = run_in_actions(tmp_path, "hello\n", ("a.py", "b.py"), ends)
    first, second = ends
    assert commands_taken(lines) == [
        f"::group::[1/2] passed {first} in 1.0 s",
        "::endgroup::",
        f"::group::[2/2] passed {second} in 1.0 s",
        "::endgroup::",
    ]
    bounds = [i for i, line in enumerate(lines) if line.startswith(("::group::", "::endgroup::"))]
    inside = [lines[start:end] for start, end in zip(bounds[::2], bounds[1::2], strict=True)]
    for part, own, other in zip(inside, ends, reversed(ends), strict=True):
        assert f"{own} | hello" in part
        assert not any(other in line for line in part)


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


@pytest.mark.slow
@pytest.mark.parametrize("tests", [("a.py",), ("a.py", "b.py")], ids=["alone", "side by side"])
def test_under_actions_a_long_output_is_an_excerpt_in_its_fold_and_no_part_of_it_a_command(tmp_path, tests):
    lines = run_in_actions(tmp_path, "::error::boo\nsome line of a test that says a lot\n" * 500_000, tests)
    assert all(line.startswith(("::group::", "::endgroup::")) for line in commands_taken(lines))
    for test in tests:
        begins = next(i for i, line in enumerate(lines) if line.startswith("::group::") and test in line)
        fold = lines[begins : lines.index("::endgroup::", begins)]
        (more,) = (line for line in fold if line.startswith(f"{test} | … ") and " lines more in " in line)
        assert more.endswith(f" lines more in {test}.log")
        count = int(more.removeprefix(f"{test} | … ").partition(" ")[0].replace(",", ""))
        assert count + sum(line.startswith((f"{test} | ::error", f"{test} | some")) for line in fold) == 1_000_000


@pytest.mark.parametrize("cause", [Cause.LOST, Cause.PREEMPTED, Cause.REQUEUED, Cause.NODE_FAILED])
def test_an_attempt_that_is_tried_again_for_what_an_engine_did_is_a_line(cause):
    stream = io.StringIO()
    Console(stream, lambda: 0.0)(events.Ended(0.0, "a.py", 1, BOTH, Ending(cause, detail="job 7 of Slurm …")))
    assert "a.py: attempt 1 was lost: job 7 of Slurm …" in stream.getvalue()


def test_under_actions_an_attempt_that_could_not_be_started_is_a_line(tmp_path):
    stream = io.StringIO()
    console = GithubConsole(stream, lambda: 0.0, tmp_path, "token")
    console(events.Queued(0.0, "a.py", 1, "never.log", 1))
    never_started = Ending(Cause.NEVER_STARTED, detail="it could not be started: Too many open files")
    console(events.Ended(0.0, "a.py", 1, BOTH, never_started))
    assert "a.py: attempt 1 was lost: it could not be started: Too many open files" in stream.getvalue()


def test_under_actions_nothing_that_a_test_prints_is_a_command(tmp_path):
    hostile = "::error::boo\n::set-output name=x::y\n"
    assert commands_taken(run_in_actions(tmp_path, hostile)) == ["::group::a.py", "::endgroup::"]
    both = commands_taken(run_in_actions(tmp_path, hostile, ("a.py", "b.py")))
    assert all(command.startswith(("::group::", "::endgroup::")) for command in both) and len(both) == 4


def test_under_actions_a_failure_is_an_annotation_and_its_lines_are_no_commands(tmp_path):
    stream = io.StringIO()
    run = finished(tmp_path, output="::error::from the test\n")
    GithubConsole(stream, lambda: 0.0, tmp_path, "token").summary(run, tmp_path)
    assert commands_taken(stream.getvalue().splitlines()) == [
        "::error file=tests/b.py,line=1,title=tests/b.py::exit code 1"
    ]


@pytest.mark.parametrize(
    ("test_id", "sentence", "place"),
    [
        ("**b** 6", "exit code 1", "file=tests/b.sh,line=1,"),
        ("tests/c.py", "tests/c.py:4: does not parse", "file=tests/c.py,line=4,"),
        ("tests/c d.py", "tests/c d.py:4: does not parse", "file=tests/c d.py,line=4,"),
        ("no file of ours", "exit code 1", ""),
        ("no file of ours", "it said at 12:30: no", ""),
    ],
)
def test_under_actions_an_annotation_is_at_the_tests_file_whatever_it_is_called(tmp_path, test_id, sentence, place):
    stream = io.StringIO()
    result = Result(test_id, Verdict(Outcome.FAILED, sentence))
    run = Run("1", "", 0, 1, (result,), "no GPU", 1, files={"**b** 6": "tests/b.sh"})
    GithubConsole(stream, lambda: 0.0, tmp_path, "token").summary(run, tmp_path)
    assert f"::error {place}title={test_id}::{sentence}" in stream.getvalue().splitlines()


@pytest.mark.parametrize("name", ["tests/\x1b[31mred.py", "tests/two\nlines.py", "tests/a\tb.py"])
def test_under_actions_an_annotation_is_at_its_line_of_a_file_whose_name_no_log_shows_as_it_is(tmp_path, name):
    log = tmp_path / "log"
    frame = f'  File "{tmp_path}/{name}", line 3, in <module>\n    run()\n'
    log.write_text(f"Traceback (most recent call last):\n{frame}ValueError: no\n")
    diagnosis = diagnosed(log, packaged_rules(), Facts(exit_code=1), tmp_path)
    result = Result(name, Verdict(Outcome.FAILED, "exit code 1", diagnosis))
    found = place(Run("1", "", 0, 1, (result,), "no GPU", 1, files={name: name}), result)
    assert found == Frame(name, 3)


@pytest.mark.parametrize(("count", "shown"), [(10, 10), (11, 9), (40, 9)])
def test_under_actions_failures_beyond_what_github_shows_of_a_step_are_counted(tmp_path, count, shown):
    stream = io.StringIO()
    results = tuple(Result(f"{number}.py", Verdict(Outcome.FAILED, "exit code 1")) for number in range(count))
    passed = Result("passed.py", Verdict(Outcome.PASSED, "in 1 s"))
    run = Run("1", "", 0, 1, (passed, *results), "no GPU", 1, {})
    GithubConsole(stream, lambda: 0.0, tmp_path, "token").summary(run, tmp_path)
    taken = commands_taken(stream.getvalue().splitlines())
    assert taken[:shown] == [f"::error title={number}.py::exit code 1" for number in range(shown)]
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
    assert taken.startswith("::error title=tests/test_##[stop-commands]x.py::no")


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
    assert len(lines) == 7, lines
    assert lines[0].startswith("▶ tests/test_long_") and "1 device" in lines[0]
    assert "5.0 s of about 30.0 s" in lines[0]
    said = r"ends about \d\d:\d\d:\d\d · 2 of 8 virtual devices in use · 10 passed"
    assert re.match(said, lines[-1]), lines[-1]


def test_how_long_it_takes_is_seen_on_the_narrowest_terminal():
    selection = Selection(tuple(Selected(Test(name, num_gpus=1), "") for name in ("a.py", "b.py")))
    console = LiveConsole(io.StringIO(), lambda: 10.0, selection, POOL, {"a.py": 30.0, "b.py": 30.0})
    console(events.Queued(0.0, "a.py", 1, "l", 1))
    console(events.Started(5.0, "a.py", 1, BOTH, 1))
    assert painted(console, 40)[-1].startswith("ends about ")


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
    console(planned("a.py"))
    first, then = ("a.py", 1, Phase.PREPARE), ("a.py", 1, Phase.EXECUTE)
    for event in (
        events.Queued(0.0, "a.py", 1, "a.log", 1),
        events.Started(0.0, *first, 1),
        events.Output(0.0, *first, b"downloads\n"),
        events.Ended(0.0, *first, PASSED),
        events.Started(0.0, *then, 2),
        events.Output(0.0, *then, b"trains\n"),
        events.Ended(0.0, *then, PASSED),
        events.Concluded(0.0, "a.py", 1, IN_TIME),
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
    console(planned("a.py"))
    console(events.Queued(0.0, "a.py", 1, "a.log", 1))
    console(events.Output(0.0, "a.py", 1, BOTH, b"first\n"))
    console(events.Started(0.0, "a.py", 1, BOTH, 1))
    console(events.Ended(0.0, "a.py", 1, BOTH, PASSED))
    console(events.Concluded(0.0, "a.py", 1, IN_TIME))
    lines = stream.getvalue().splitlines()
    assert lines.index("::group::a.py") < lines.index("a.py | first") < lines.index("::endgroup::")
    assert lines.count("::group::a.py") == 1


def test_each_attempt_has_a_group_and_says_which_it_is(tmp_path):
    stream = io.StringIO()
    console = GithubConsole(stream, lambda: 0.0, tmp_path, "token")
    console(planned("a.py", "b.py"))
    lost = Ending(Cause.LOST, detail="gone")
    for attempt, ending in ((1, lost), (2, PASSED)):
        (tmp_path / f"{attempt}.log").write_text(f"attempt {attempt}\n")
        console(events.Queued(0.0, "b.py", attempt, f"{attempt}.log", 1))
        console(events.Started(0.0, "b.py", attempt, BOTH, 1))
        console(events.Ended(0.0, "b.py", attempt, BOTH, ending))
    console(events.Concluded(0.0, "b.py", 2, IN_TIME))
    lines = stream.getvalue().splitlines()
    first = lines.index("::group::b.py: tried again")
    second = lines.index("::group::[1/2] passed b.py in 1.0 s, attempt 2")
    assert first < lines.index("b.py | attempt 1") < second < lines.index("b.py | attempt 2")


NAN = "AssertionError: the loss is nan"
FRAME = Diagnosis(Blame.CODE, "nan", "a number is none", NAN, 2, Frame("lib/loss.py", 7))


def red_run(tmp_path: Path, *diagnoses: Diagnosis) -> Run:
    (tmp_path / "log").write_text("step 1\nAssertionError: the loss is nan\n")
    results = []
    for number, diagnosis in enumerate(diagnoses):
        test = Test(f"tests/test_{number}.py")
        attempt = Attempt(test, 1, 0.0, 1.0, 3.0, Ending(Cause.EXITED, 1), "log")
        results.append(Result(test.id, Verdict(Outcome.FAILED, "exit code 1", diagnosis), (attempt,)))
    return Run("run-1", "c", 0.0, 75.0, (*results, Result("ok.py", IN_TIME)), POOL.sentence, 1)


def test_a_failure_begins_with_its_exception_and_the_place_in_the_repository(tmp_path):
    stream = io.StringIO()
    Console(stream, lambda: 0.0).summary(red_run(tmp_path, FRAME), tmp_path)
    assert stream.getvalue().splitlines()[1:5] == [
        "failed: tests/test_0.py",
        "    AssertionError: the loss is nan",
        "    at:     lib/loss.py:7",
        "    why:    code (rule nan, line 2 of the log): exit code 1",
    ]


def test_failures_come_last_then_a_line_for_each_and_the_counts(tmp_path):
    stream = io.StringIO()
    Console(stream, lambda: 0.0).summary(red_run(tmp_path, FRAME, FRAME), tmp_path)
    assert stream.getvalue().splitlines()[-4:] == [
        "",
        "failed          tests/test_0.py: AssertionError: the loss is nan",
        "failed          tests/test_1.py: AssertionError: the loss is nan",
        "1 passed, 2 failed in 1 min 15 s · 8 virtual devices, no GPU",
    ]


def test_a_passed_test_is_one_line_with_its_place_in_the_run(tmp_path):
    stream = io.StringIO()
    console = Console(stream, lambda: 0.0)
    console(planned("a.py", "b.py", "c.py"))
    console(events.Concluded(0.0, "refused.py", 0, Verdict(Outcome.REFUSED, "no")))
    console(events.Concluded(0.0, "a.py", 1, IN_TIME))
    console(events.Concluded(0.0, "b.py", 1, Verdict(Outcome.FAILED, "exit code 1", FRAME)))
    lines = [line.partition("] ")[2] for line in stream.getvalue().splitlines()]
    assert lines == [
        "refused refused.py: no",
        "[1/3] passed a.py in 1.0 s",
        "[2/3] failed b.py: AssertionError: the loss is nan",
    ]


def test_under_actions_the_annotation_is_at_the_place_in_the_repository(tmp_path):
    stream = io.StringIO()
    GithubConsole(stream, lambda: 0.0, tmp_path, "token").summary(red_run(tmp_path, FRAME), tmp_path)
    assert commands_taken(stream.getvalue().splitlines()) == [
        "::error file=lib/loss.py,line=7,title=tests/test_0.py::AssertionError: the loss is nan"
    ]


def terminal(stream: io.StringIO, *tests: Test, verbose: bool = False) -> LiveConsole:
    selection = Selection(tuple(Selected(test, "") for test in tests))
    console = LiveConsole(stream, lambda: 10.0, selection, POOL, {})
    console.skips = not verbose
    return console


def painted(console: LiveConsole, width: int = 80) -> list[str]:
    screen = rich.console.Console(file=io.StringIO(), width=width)
    screen.print(console._render())
    return screen.file.getvalue().splitlines()


def test_on_a_terminal_only_the_end_of_what_runs_is_seen():
    stream = io.StringIO()
    console = terminal(stream, Test("a.py", num_gpus=1))
    with console:
        console(events.Queued(0.0, "a.py", 1, "l", 1))
        console(events.Started(5.0, "a.py", 1, BOTH, 1))
        for number in range(1000):
            console(events.Output(6.0, "a.py", 1, BOTH, b"step %d\n" % number))
        assert painted(console)[1:-1] == ["   step 996", "   step 997", "   step 998", "   step 999"]
    assert "step 1\n" not in stream.getvalue()


@pytest.mark.parametrize("height", [4, 5, 8, 10, 24])
def test_on_a_terminal_of_few_lines_the_last_one_still_counts(height):
    names = [f"{number}.py" for number in range(12)]
    console = terminal(io.StringIO(), *(Test(name, num_gpus=1) for name in names))
    for name in names[:6]:
        console(events.Queued(0.0, name, 1, "l", 1))
        console(events.Started(5.0, name, 1, BOTH, 1))
        console(events.Output(6.0, name, 1, BOTH, b"one\ntwo\nthree\n"))
    console._rich.size = rich.console.ConsoleDimensions(80, height)
    lines = painted(console)
    assert len(lines) < height and lines[-1].startswith("6 of 8 virtual devices in use")
    assert height > 6 or lines[-2].startswith("▶ and ")


def test_verbose_shows_all_output_with_the_tests_name():
    stream = io.StringIO()
    console = terminal(stream, Test("a.py", num_gpus=1), verbose=True)
    with console:
        console(events.Output(6.0, "a.py", 1, BOTH, b"step 1\nstep 2\n"))
    assert "a.py | step 1\n" in stream.getvalue() and "a.py | step 2\n" in stream.getvalue()


def test_a_terminal_says_what_waits_for_how_many_devices():
    console = terminal(io.StringIO(), Test("a.py", num_gpus=6), Test("b.py", num_gpus=4), Test("c.py", num_gpus=1))
    console(events.Queued(0.0, "a.py", 1, "l", 6))
    console(events.Started(5.0, "a.py", 1, BOTH, 1))
    assert painted(console)[1:3] == ["⏸ b.py: needs 4 devices, 2 free", "⏸ c.py: waits for its turn"]
    console(events.Queued(0.0, "b.py", 1, "l", 4))
    console(events.Waiting(6.0, "b.py", 1, BOTH, 2))
    assert "b.py 4 devices waits, 2 ahead in the host's queue" in painted(console)[1]
    console(events.Waiting(6.0, "b.py", 1, BOTH, 2, "device 0, 1: held by train.py (user eve) since 23:34"))
    assert painted(console)[2] == "   device 0, 1: held by train.py (user eve) since 23:34"


def test_only_the_prefix_of_output_is_dim():
    console = terminal(io.StringIO(), verbose=True)
    console(events.Output(6.0, "a.py", 1, BOTH, b"step 1\n"))
    (line,) = console._lines
    assert [(span.start, span.end, span.style) for span in line.spans] == [(0, len("a.py | "), "dim")]
    assert not line.style


def test_a_reason_of_pages_is_whole_once_and_short_in_the_list_of_all(tmp_path):
    stream = io.StringIO()
    why = "ValueError: " + "y" * 3000
    run = red_run(tmp_path, Diagnosis(Blame.CODE, "exception", "", why, 1))
    Console(stream, lambda: 0.0).summary(run, tmp_path)
    lines = stream.getvalue().splitlines()
    assert lines.count(f"    {why}") == 1
    assert [len(line) for line in lines if line.startswith("failed  ")] == [301]
