"""exec_command, on real processes."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trainci.testing import CommandError, exec_command, marked

DEADLINE_S = 60
Alive = Callable[[int], bool]
WaitFor = Callable[[Callable[[], object]], None]


def test_a_list_is_run_as_it_stands(tmp_path: Path) -> None:
    hostile = ["a b", "$(touch made)", "'", '"', ";", "*", "", "é", "--x=\n"]
    program = "import sys, json; print(json.dumps(sys.argv[1:]))"
    printed = exec_command([sys.executable, "-c", program, *hostile], cwd=tmp_path)
    assert json.loads(printed) == hostile
    assert list(tmp_path.iterdir()) == []


def test_a_path_may_stand_in_a_list(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import sys; print(sys.argv[1:])")
    assert exec_command([Path(sys.executable), program, tmp_path]) == f"{[str(tmp_path)]}\n"
    with pytest.raises(CommandError, match="failed with exit code 1") as failed:
        exec_command(["false", tmp_path])
    assert failed.value.command == f"false {tmp_path}"


def test_a_string_is_run_by_bash() -> None:
    assert exec_command("for i in 1 2; do echo $((i * 2)); done") == "2\n4\n"


def test_a_pipeline_fails_with_its_first_command() -> None:
    with pytest.raises(CommandError, match="exit code 7"):
        exec_command("(exit 7) | cat")


def test_a_failure_shows_the_command_the_code_and_the_last_lines_only() -> None:
    with pytest.raises(CommandError) as failure:
        exec_command("seq 1 100; echo told on stderr >&2; exit 3")
    text = str(failure.value)
    assert "failed with exit code 3: seq 1 100; echo told" in text
    assert "\n  100\n  told on stderr" in text
    assert "  72\n" in text
    assert "  70\n" not in text
    assert failure.value.code == 3


def test_a_signal_is_a_negative_code() -> None:
    with pytest.raises(CommandError) as failure:
        exec_command("kill -KILL $$")
    assert failure.value.code == -signal.SIGKILL


def test_a_command_that_cannot_start_says_why() -> None:
    with pytest.raises(CommandError, match=r"cannot start .*No such file.*no-such-program"):
        exec_command(["no-such-program", "--flag"])


def test_a_missing_directory_says_why() -> None:
    with pytest.raises(CommandError, match=r"cannot start .*No such file.*/no/such/directory"):
        exec_command("true", cwd="/no/such/directory")


def test_env_is_added_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "old")
    assert exec_command('echo "$KEPT $ADDED"', env={"ADDED": "new"}) == "old new\n"


def test_a_command_reads_nothing_of_our_input() -> None:
    program = "from trainci.testing import exec_command; print([exec_command('cat')])"
    ours = subprocess.run([sys.executable, "-c", program], input="ours", capture_output=True, text=True, check=True)
    assert ours.stdout == "$ cat\n['']\n"


def test_output_is_shown_and_returned_with_what_is_no_utf8(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    program = "from trainci.testing import exec_command; print(ascii(exec_command(r'printf \"a\\377b\\n\"')))"
    subprocess.run([sys.executable, "-c", program], check=True)
    shown = capfdbinary.readouterr().out
    assert b"\na\xffb\n" in shown
    assert rb"'a\ufffdb\n'" in shown


def test_output_comes_while_the_command_runs(tmp_path: Path) -> None:
    go = tmp_path / "go"
    command = f"echo first; until [ -e {go} ]; do sleep 0.02; done; echo second"
    program = f"from trainci.testing import exec_command; exec_command({command!r})"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("$ echo first")
        assert process.stdout.readline() == "first\n"  # comes before we let it go on
        go.touch()
        assert process.stdout.read() == "second\n"


def test_a_flood_of_output_is_kept_at_its_end_only() -> None:
    printed = exec_command("head -c 5000000 /dev/zero | tr '\\0' x; echo the end")
    assert len(printed) == 1 << 20
    assert printed.endswith("xxthe end\n")


def test_a_background_process_is_neither_waited_for_nor_ended(alive: Alive) -> None:
    printed = exec_command("sleep 1000 & echo $!")
    pid = int(printed)
    try:
        assert alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_command_that_closes_its_output_is_waited_for(tmp_path: Path) -> None:
    exec_command("exec >&- 2>&-; sleep 0.3; touch done", cwd=tmp_path)
    assert (tmp_path / "done").exists()


def test_a_timeout_is_polite_first() -> None:
    with pytest.raises(CommandError) as failure:
        exec_command("trap 'echo put away; exit 0' TERM; echo ready; sleep 1000 & wait", timeout=2)
    assert "still running after 2 s, so it was ended" in str(failure.value)
    assert "\n  ready\n" in str(failure.value)
    assert "\n  put away" in str(failure.value)


def test_a_timeout_lets_children_put_away_longer_than_the_command_itself(tmp_path: Path) -> None:
    child = "trap 'sleep 0.5; touch put-away; exit' TERM; sleep 1000 & wait"
    with pytest.raises(CommandError, match="still running after 2 s"):
        exec_command(["bash", "-c", f'bash -c "{child}" & wait'], timeout=2, cwd=tmp_path)
    assert (tmp_path / "put-away").exists()


def test_a_timeout_ends_children_that_ignore_it_and_left_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alive: Alive
) -> None:
    monkeypatch.setattr(marked, "GRACE_S", 0.5)
    (tmp_path / "stubborn").write_text("trap '' TERM; touch pid-$$; while :; do sleep 1000; done")
    command = "setsid bash stubborn & (setsid bash stubborn &) ; bash stubborn & bash stubborn"
    with pytest.raises(CommandError, match="still running after 3 s"):
        exec_command(command, timeout=3, cwd=tmp_path)
    pids = [int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*")]
    assert len(pids) == 4
    assert [pid for pid in pids if alive(pid)] == []


def test_a_timeout_holds_while_output_floods_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marked, "GRACE_S", 0.5)
    with pytest.raises(CommandError, match=r"still running after 0\.5 s"):
        exec_command(["yes"], timeout=0.5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ending_a_test_ends_its_command(
    tmp_path: Path, number: signal.Signals, alive: Alive, wait_for: WaitFor
) -> None:
    test = tmp_path / "test_it.py"
    test.write_text(
        "from trainci.testing import exec_command, main\n"
        "def prepare(): pass\n"
        "def execute(): exec_command('echo $$ > pid; mv pid running; sleep 1000 & sleep 1000')\n"
        "main(prepare, execute)\n"
    )
    with subprocess.Popen([sys.executable, test], cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        wait_for((tmp_path / "running").exists)
        process.send_signal(number)
        assert process.wait(DEADLINE_S) in (128 + number, -number)
    pid = int((tmp_path / "running").read_text())
    wait_for(lambda: not alive(pid))


SECRET = "s3cr3t 'with' $pecial"


@pytest.mark.parametrize("fails", [False, True])
def test_a_secret_is_never_printed(capfd: pytest.CaptureFixture[str], fails: bool) -> None:
    program = (
        "import sys, time\nword = sys.argv[1]\nfor part in (word[:5], word[5:]):\n"
        "    sys.stdout.write(part); sys.stdout.flush(); time.sleep(0.1)\n"
        f"sys.exit({int(fails)})\n"
    )
    told = ""
    try:
        told = exec_command([sys.executable, "-c", program, SECRET], secret=[SECRET])
    except CommandError as error:
        told = str(error) + error.command + error.output
    assert ("failed with exit code 1" in told) == fails
    shown = told + "".join(capfd.readouterr())
    assert "***" in told
    assert "s3cr3t" not in shown
    assert "pecial" not in shown


def test_a_secret_quoted_into_a_shell_string_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    exec_command(f"echo {shlex.quote(SECRET)} | wc -c", secret=[SECRET])
    assert "pecial" not in "".join(capfd.readouterr())


def test_one_secret_may_be_given_as_a_string(capfd: pytest.CaptureFixture[str]) -> None:
    assert exec_command("echo hunter2 hunter", secret="hunter2") == "*** hunter\n"
    assert "hunter2" not in "".join(capfd.readouterr())
