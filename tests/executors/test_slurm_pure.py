"""What is decided about a job of Slurm's without one: its script, and what the state that it ended in means."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import queue
import re
import shutil
import subprocess
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import Nobody, wait_until

from trainci.errors import MachineError
from trainci.executors import node
from trainci.executors.account import Account, open_log
from trainci.executors.attempt import Attempt
from trainci.executors.base import Job, Wanted
from trainci.executors.node import TOLD
from trainci.executors.slurm import SlurmExecutor, commands, packs, slurm_executor, states
from trainci.executors.slurm.commands import Seen, SlurmAway, SlurmFull, SlurmRefused
from trainci.executors.slurm.script import Asked, batch_script
from trainci.executors.slurm.states import ending, waits_for
from trainci.lease import protocol
from trainci.lease.protocol import Started, dump
from trainci.model.device import Pool
from trainci.model.events import Ended, Waiting
from trainci.model.project import Slurm
from trainci.model.run import Cause, Ending, Phase
from trainci.model.tests import Test

HOSTILE = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


@given(name=HOSTILE, root=HOSTILE, word=HOSTILE)
def test_no_name_and_no_path_becomes_a_line_or_a_word_of_the_script(name, root, word):
    """What bash makes of the script is one change of directory and one command, whatever they hold."""
    asked = Asked(name, "trainci:token", nodes=1, gpus=2, cpus=1, time_limit=60.0)
    script = batch_script(asked, Slurm(), root, "/dev/stdout", "/dev/null", ["printf", "%s|", word]).decode()
    told = script.replace("cd -- ", "printf '%s|' ", 1).replace(" || exit", "", 1)
    done = subprocess.run(["bash"], input=told.encode(), capture_output=True)
    assert done.stdout.decode() == f"{root}|{word}|"
    options = [line for line in script.split("\n") if line.startswith("#SBATCH")]
    assert all(re.fullmatch(r"#SBATCH --[a-z-]+(=[A-Za-z0-9:/._-]+)?", line) for line in options[:10])
    assert len([line for line in options if "--job-name" in line]) == 1


def test_no_variable_of_a_test_stands_in_its_script(tmp_path, monkeypatch):
    """Slurm keeps scripts and comments, and shows them to its administrators."""
    monkeypatch.setenv("TOKEN", "hf_secret-1234")
    test = Test("a", command=("python", "a.py"), env=(("OTHER", "also-secret"),))
    script = slurm_executor(Wanted(tmp_path, "cpu:4", secrets=["hf_secret-1234"])).submission(test)
    assert "secret" not in script


SIGTERM = Ending(Cause.SIGNALLED, signal=15)
EXIT_1 = Ending(Cause.EXITED, 1)
PASSED = Ending(Cause.EXITED, 0)
TIMED_OUT = Ending(Cause.TIMED_OUT, signal=15)
OUT_OF_TIME = Ending(Cause.OUT_OF_TIME, signal=15)


@pytest.mark.parametrize(
    ("state", "reported", "cause"),
    [
        ("COMPLETED", PASSED, Cause.EXITED),
        ("FAILED", EXIT_1, Cause.EXITED),
        ("FAILED", TIMED_OUT, Cause.TIMED_OUT),
        ("COMPLETED", None, Cause.LOST),
        ("FAILED", None, Cause.LOST),
        ("PREEMPTED", SIGTERM, Cause.PREEMPTED),
        ("PREEMPTED", EXIT_1, Cause.PREEMPTED),
        ("PREEMPTED", PASSED, Cause.PREEMPTED),
        ("NODE_FAIL", None, Cause.NODE_FAILED),
        ("BOOT_FAIL", None, Cause.NODE_FAILED),
        ("CANCELLED", SIGTERM, Cause.CANCELLED),
        ("CANCELLED", None, Cause.CANCELLED),
        ("TIMEOUT", None, Cause.OUT_OF_TIME),
        ("TIMEOUT", SIGTERM, Cause.OUT_OF_TIME),
        ("DEADLINE", None, Cause.CANCELLED),
        ("TIMEOUT", TIMED_OUT, Cause.TIMED_OUT),
        ("OUT_OF_MEMORY", Ending(Cause.SIGNALLED, signal=9), Cause.OUT_OF_MEMORY),
        ("OUT_OF_MEMORY", Ending(Cause.EXITED, 137), Cause.OUT_OF_MEMORY),
        ("OUT_OF_MEMORY", PASSED, Cause.EXITED),
    ],
)
def test_what_slurm_did_to_a_job_outweighs_what_its_command_made_of_it(state, reported, cause):
    found = ending(Seen("7", state, "now", nodes="n1"), reported, stopped=False)
    assert found.cause is cause
    if reported is None or cause is not reported.cause:
        assert "job 7 of Slurm" in found.detail


@pytest.mark.parametrize("state", ["CANCELLED", "PREEMPTED", "NODE_FAIL", "TIMEOUT"])
def test_a_pass_that_nobody_ordered_the_end_of_stands(state):
    """A controller that was killed has forgotten that the job began, and does that to it when it is over."""
    assert ending(Seen("7", state, "now"), PASSED, ordered=False) == PASSED
    assert ending(Seen("7", state, "now"), EXIT_1, ordered=False).cause is not Cause.EXITED


@pytest.mark.parametrize("reported", [None, SIGTERM, Ending(Cause.SIGNALLED, signal=9), EXIT_1])
@pytest.mark.parametrize("state", ["CANCELLED", "FAILED"])
def test_a_job_whose_beginning_slurm_forgot_was_ended_by_nobody(state, reported):
    found = ending(Seen("7", state, "now", ended_by="0"), reported, forgotten=True)
    assert found == Ending(Cause.LOST, detail=f"Slurm forgot that it had begun job 7, and ended it as {state}")


@pytest.mark.parametrize(
    ("ended", "ran_for", "by", "cause"),
    [
        ("18:00:01", None, "0", Cause.LOST),
        ("18:00:01", None, "1000", Cause.CANCELLED),
        ("18:00:09", None, "0", Cause.LOST),
        ("18:00:09", None, "", Cause.LOST),
        ("18:02:00", None, "0", Cause.CANCELLED),
        ("18:00:01", 4.0, "0", Cause.LOST),
        ("18:00:01", 4.0, "1000", Cause.CANCELLED),
        ("18:00:09", 4.0, "0", Cause.CANCELLED),
        ("18:00:01", -0.5, "0", Cause.CANCELLED),
        ("18:00:09", -4.0, "0", Cause.CANCELLED),
    ],
)
def test_a_job_that_its_node_did_not_launch_was_cancelled_by_nobody(ended, ran_for, by, cause):
    """The node has a job of that number, or its controller is away, and has this one cancelled in the name of root.

    Root may do so by hand, to a command that runs, or to a job that its node does not begin for minutes.
    """
    at = "2026-11-26T18:00:00"
    started_by = datetime.fromisoformat(at).timestamp() - ran_for if ran_for else 0.0
    seen = Seen("7", "CANCELLED", "now", nodes="n1", ended_by=by, begun=at, ended=f"2026-11-26T{ended}")
    assert ending(seen, None, started_by=started_by).cause is cause


@pytest.mark.parametrize(
    ("submitted", "ahead"), [(100, 0), (98, -1), (101, 0), (99, 0), (141, 42), (60, -39), (None, 0)]
)
def test_a_clock_of_slurms_that_goes_otherwise_is_known_by_when_it_says_a_job_was_submitted(submitted, ahead):
    """That was between two times of ours, and Slurm writes whole seconds."""
    begin = 1_790_000_000.0
    written = "N/A" if submitted is None else datetime.fromtimestamp(begin + submitted).isoformat()
    seen = Seen("7", "CANCELLED", written, ended=written)
    assert states.clock_ahead(seen, begin + 100, begin + 101.5) == pytest.approx(ahead)
    assert states.clock_ahead(seen, 0.0, begin + 101.5) == 0, "nobody knows when it was submitted"
    assert submitted is None or states.ended_from_outside(seen, ahead) == pytest.approx(begin + submitted - ahead)


def test_a_job_that_a_clock_ahead_of_ours_says_will_begin_is_known_to_the_database(tmp_path, monkeypatch):
    """sacct names none that begins after the end that it is asked for, which is our now if nothing is said."""
    program(
        tmp_path, "sacct", 'case "$*" in *--endtime=now+*) echo "12|CANCELLED by 7|at|then|later|None|n1|";; esac'
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert [seen.ended_by for seen in commands.accounted(["12"])] == ["7"]


@pytest.mark.parametrize("ahead", [0, 40, -40])
@pytest.mark.parametrize("comment", ["the token", "of a site's own"])
def test_neither_slurms_clock_nor_a_comment_of_the_sites_changes_what_is_told(
    tmp_path, monkeypatch, ahead, comment
):
    """What a signal ended was not forgotten by Slurm; and a submit filter may write what it likes."""
    program(tmp_path, "sbatch", f"cat >{tmp_path}/script; echo 12")
    program(tmp_path, "sacct", "true")
    token = "$(sed -n 's/#SBATCH --comment=//p' script)" if comment == "the token" else comment
    at = f"$(date -d @$(($(date +%s) + {ahead})) +%FT%T)"
    program(
        tmp_path,
        "squeue",
        f'cd {tmp_path} && test -e script || exit 0\ntest -e at || echo "{at}" >at\n'
        "state=RUNNING; test -e over && state=FAILED\n"
        f'echo "12|$state|$(cat at)|$(cat at)|{at}|None|n1|{token}"',
    )
    monkeypatch.setattr("trainci.executors.slurm.executor._LATER_S", 0.1)
    monkeypatch.setattr("trainci.executors.slurm.executor.LATE_S", 0.5)
    executor, told = begun(tmp_path, monkeypatch)
    wait_until(lambda: any(attempt.submitted for attempt in executor._under_way()), "Slurm to have named it")
    (tmp_path / "a.job/begun").touch()
    (tmp_path / "a.job/status").write_bytes(dump(Started(1)) + dump(protocol.Ended(signal=11)))
    wait_until(lambda: all(attempt.reported for attempt in executor._under_way()), "its report")
    (tmp_path / "over").touch()
    ended = next(event for event in iter(lambda: told.get(timeout=60), None) if isinstance(event, Ended))
    executor.close()
    assert ended.ending == Ending(Cause.SIGNALLED, signal=11)


@pytest.mark.parametrize(("reason", "cause"), [("Prolog", Cause.CANCELLED), ("None", Cause.LOST)])
def test_a_job_that_root_cancels_while_its_node_prepares_it_was_cancelled(tmp_path, monkeypatch, reason, cause):
    """As Slurm 22.05 says it with PrologFlags=Alloc, before the prolog is over; then as of one not launched."""
    program(tmp_path, "sbatch", f"cat >{tmp_path}/script; echo 12")
    program(tmp_path, "sacct", "echo '12|CANCELLED by 0|now|2026-11-26T18:00:00|2026-11-26T18:00:04|None|n1|'")
    line = "12|%s|now|2026-11-26T18:00:00|2026-11-26T18:00:04|%s|n1|"
    program(
        tmp_path,
        "squeue",
        f"cd {tmp_path} && if test -e script; then n=$(cat asked 2>/dev/null || echo 0); echo $((n + 1)) >asked\n"
        f"if [ $n = 0 ]; then set COMPLETING {reason}; else set CANCELLED None; fi\n"
        f"token=$(sed -n 's/#SBATCH --comment=//p' script); printf '{line}%s\\n' $1 $2 $token; fi",
    )
    monkeypatch.setattr("trainci.executors.slurm.executor._LATER_S", 0.2)
    executor, told = begun(tmp_path, monkeypatch)
    ended = next(event for event in iter(lambda: told.get(timeout=60), None) if isinstance(event, Ended))
    executor.close()
    assert ended.ending.cause is cause
    assert cause is Cause.LOST or ended.ending.detail == "job 12 of Slurm on n1 was cancelled by the user with id 0"


@pytest.mark.parametrize(
    ("begun", "nodes"), [("Unknown", "n1"), ("", ""), ("18:00", ""), ("18:00", "None assigned")]
)
def test_a_job_that_is_cancelled_before_it_is_begun_was_cancelled(begun, nodes):
    begun, ended = begun.replace("18:00", "2026-11-26T18:00:00"), "2026-11-26T18:00:00"
    assert (
        ending(Seen("7", "CANCELLED", "now", "", nodes, begun=begun, ended=ended), None, started_by=0.0).cause
        is Cause.CANCELLED
    )


@pytest.mark.parametrize(
    ("begun", "state", "after"),
    [(-5, "CANCELLED", False), (1, "CANCELLED", False), (5, "CANCELLED", True), (5, "PENDING", False)],
)
def test_slurm_that_says_it_began_a_job_after_its_command_ran_has_forgotten_it(begun, state, after):
    """What a waiting job has there is a guess."""
    started = 1_790_000_000.0
    seen = Seen("7", state, "now", begun=datetime.fromtimestamp(started + begun).isoformat())
    assert states.began_after(seen, started) is after
    assert not states.began_after(seen, 0.0)
    assert not states.began_after(replace(seen, begun="Unknown"), started)


def test_what_is_known_of_a_job_whose_beginning_slurm_forgot_is_told():
    assert ending(Seen("7", "PREEMPTED", "now"), SIGTERM, forgotten=True).cause is Cause.PREEMPTED
    assert ending(Seen("7", "FAILED", "now"), EXIT_1, ordered=False, forgotten=True) == EXIT_1
    assert ending(Seen("7", "CANCELLED", "now"), PASSED, ordered=False, forgotten=True) == PASSED


@pytest.mark.parametrize(
    ("told", "forgotten"),
    [
        (["", "10:00"], False),
        (["10:00", "10:00"], False),
        (["10:00", "10:09"], True),
        (["started", "10:00"], False),
        (["started", ""], True),
        (["started", "", "10:09"], True),
    ],
)
def test_slurm_has_forgotten_a_job_that_it_begins_twice_or_calls_waiting_while_it_runs(tmp_path, told, forgotten):
    job = Job(Test("a"), 1, tmp_path / "a.log")
    attempt = Attempt(job, Nobody())
    attempt.account = Account(job, open_log(job.log), (), lambda event: None, Nobody(), float, print)
    for word in told:
        if word == "started":
            attempt.account.status(dump(Started(1)))
        else:
            attempt.was_begun(word)
    assert attempt.forgotten is forgotten


@pytest.mark.parametrize(
    ("word", "over", "waits", "again"),
    [
        *((word, True, False, False) for word in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "DEADLINE")),
        *(
            (word, True, False, False)
            for word in ("NODE_FAIL", "BOOT_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED")
        ),
        *((word, False, True, False) for word in ("PENDING", "CONFIGURING", "REQUEUE_FED", "RESV_DEL_HOLD")),
        ("EXPEDITING", False, True, False),
        *((word, False, True, True) for word in ("REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT")),
        *((word, False, False, False) for word in ("RUNNING", "SUSPENDED", "STOPPED", "COMPLETING", "STAGE_OUT")),
        *((word, False, False, False) for word in ("RESIZING", "SIGNALING", "?", "OF_A_LATER_SLURM")),
    ],
)
def test_each_word_for_the_state_of_a_job_is_known_from_the_first_slurm_to_the_last(word, over, waits, again):
    """As https://slurm.schedmd.com/job_state_codes.html names them, and squeue shows them."""
    seen = Seen("7", word, "now")
    assert (states.is_over(seen), states.waits(seen), states.was_queued_again(seen, "now")) == (over, waits, again)
    assert bool(states.together([], [seen])) is (over or again), "the rest only the database takes for alive"


def test_a_job_is_queued_again_that_was_submitted_anew_unless_clusters_share_it():
    assert states.was_queued_again(Seen("7", "RUNNING", "later"), "now")
    assert not states.was_queued_again(Seen("7", "RUNNING", "later"), "")
    assert not states.was_queued_again(Seen(str(1 << 26), "RUNNING", "later"), "now")


@pytest.mark.parametrize(
    ("ended", "told", "cause"),
    [(10.0, 11.5, Cause.NODE_FAILED), (10.0, 10.0, Cause.NODE_FAILED), (10.0, 9.5, Cause.EXITED)],
)
def test_a_pass_that_came_after_slurm_ended_the_job_is_none(tmp_path, ended, told, cause):
    """What ends a job signals its processes one after another: a shell goes on after a command that it ended."""
    job = Job(Test("a"), 1, tmp_path / "a.log")
    attempt = Attempt(job, Nobody())
    attempt.directory.mkdir()
    status = attempt.directory / "status"
    attempt.account = Account(job, open_log(job.log), (), lambda event: None, Nobody(), float, print)
    for report, at in ((Started(1), 5.0), (protocol.Ended(0), told)):
        with status.open("ab") as stream:
            stream.write(dump(report))
        os.utime(status, (at, at))
        attempt.follow()
    assert attempt.started_by == 5.0, "when its lease said so, though we may have heard of it late"
    when = datetime.fromtimestamp(ended).isoformat()
    seen = Seen("7", "BOOT_FAIL", "now", ended=when)
    attempt.ended_from_outside = states.ended_from_outside(seen, 0.0)
    assert ending(seen, attempt.reported, ordered=attempt.ordered).cause is cause
    assert states.ended_from_outside(replace(seen, state="COMPLETED"), 5.0) == 0


def test_when_a_node_began_a_job_is_known_before_any_program_of_ours_runs(tmp_path):
    """An interpreter took six seconds to start: a controller that was killed had begun the job again by then."""
    at = datetime.fromisoformat("2026-11-26T15:51:06").timestamp()
    job = Job(Test("a"), 1, tmp_path / "a.log")
    attempt = Attempt(job, Nobody())
    attempt.account = Account(job, open_log(job.log), (), lambda event: None, Nobody(), float, print)
    attempt.directory.mkdir()
    script = slurm_executor(Wanted(tmp_path, "cpu:4"))._script(job, "token").decode()
    begins = script.partition("cd --")[0]
    subprocess.run(["bash", "-c", begins], check=True)
    os.utime(attempt.directory / "begun", (at + 0.5, at + 0.5))
    attempt.account.status(dump(Started(1)))
    attempt.follow()
    subprocess.run(["bash", "-c", begins], check=True)
    assert attempt.started_by == at + 0.5 == (attempt.directory / "begun").stat().st_mtime, "of the first beginning"
    again = datetime.fromtimestamp(at + 6).isoformat()
    seen = Seen("7", "CANCELLED", "now", "", "n4", "", "", again, again)
    assert ending(seen, None, started_by=attempt.started_by).cause is Cause.LOST
    by_hand = replace(
        seen, begun=datetime.fromtimestamp(at).isoformat(), ended=datetime.fromtimestamp(at).isoformat()
    )
    assert ending(by_hand, None, started_by=attempt.started_by).cause is Cause.CANCELLED


def test_what_slurm_says_counts_before_what_its_database_says_but_for_who_cancelled_a_job(tmp_path, monkeypatch):
    """A controller that was killed began the job again, which its node had ended; the database is behind."""
    times = "2026-11-26T18:00:32|2026-11-26T18:00:32"
    program(tmp_path, "sbatch", f"cat >{tmp_path}/script; echo 12")
    cancelled = f"12|CANCELLED|now|{times}|None|n3|"
    once = f"sed -n 's/#SBATCH --comment=/{cancelled}/p' script"
    program(tmp_path, "squeue", f"cd {tmp_path} && if test -e script; then {once}; fi")
    before = "2026-11-26T18:00:25|2026-11-26T18:00:32"
    program(tmp_path, "sacct", f"echo '12|CANCELLED by 0|now|{before}|None|n3|'")
    executor, told = begun(tmp_path, monkeypatch)
    ended = told.get(timeout=60)
    assert node.begin(tmp_path / "a.job") is None, "what has a verdict never begins, whenever Slurm begins its job"
    executor.close()
    assert ended.ending == Ending(
        Cause.LOST, detail="Slurm began and did not launch job 12, and ended it as CANCELLED"
    )
    first, second = Seen("7", "RUNNING", "now"), Seen("7", "CANCELLED", "now", ended_by="1000")
    assert states.together([first], [second]) == [first]
    assert states.together([replace(second, ended_by="")], [second]) == [second]


def test_who_cancelled_a_job_is_told():
    found = ending(Seen("7", "CANCELLED", "now", ended_by="1000"), SIGTERM, stopped=False)
    assert found.detail == "job 7 of Slurm was cancelled by the user with id 1000"


def test_what_we_cancelled_ourselves_was_not_cancelled_by_somebody():
    assert ending(Seen("7", "CANCELLED", "now"), None, stopped=True) == SIGTERM


def program(directory: Path, name: str, text: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def begun(tmp_path, monkeypatch, **wanted):
    """An executor over the programs in ``tmp_path``, with one job to do, and what it tells of that."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    executor = slurm_executor(Wanted(tmp_path, "cpu:4", **wanted))
    told = queue.SimpleQueue()
    executor.start(Job(Test("a", command=("true",)), 1, tmp_path / "a.log"), told.put, Nobody())
    return executor, told


def test_a_command_of_slurms_that_says_nothing_is_given_up_in_time(tmp_path, monkeypatch):
    program(tmp_path, "squeue", "exec sleep 1000")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(commands, "DEADLINE_S", 0.2)
    with pytest.raises(SlurmAway, match="squeue said nothing for"):
        commands.listed()


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("slurm_load_jobs error: Unable to contact slurm controller (connect failure)", SlurmAway),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", SlurmAway),
        ("sbatch: error: Batch job submission failed: Protocol authentication error", SlurmAway),
        ("sbatch: error: Munge decode failed: Expired credential", SlurmAway),
        ("sbatch: error: invalid partition specified: none", SlurmRefused),
        (
            "sbatch: error: Batch job submission failed: Invalid account or account/partition combination",
            SlurmRefused,
        ),
        ("sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job", SlurmFull),
        ("sbatch: error: AssocGrpSubmitJobsLimit\nsbatch: error: Batch job submission failed: Job", SlurmFull),
        ("sbatch: error: QOSMaxWallDurationPerJobLimit\nsbatch: error: Batch job submission failed", SlurmRefused),
        ("sbatch: error: Required partition not available (inactive or drain)", SlurmFull),
        ("sbatch: error: Batch job submission failed: Resource temporarily unavailable", SlurmFull),
    ],
)
def test_slurm_that_is_away_is_told_from_slurm_that_refuses(tmp_path, monkeypatch, said, kind):
    program(tmp_path, "sbatch", f"echo '{said}' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(kind) as told:
        commands.submit(b"")
    assert type(told.value) is kind
    assert str(told.value) == said.replace("\nsbatch: error: ", "; ").removeprefix("sbatch: error: ")


def test_what_a_site_prints_before_the_id_and_a_cluster_after_it_are_no_part_of_it(tmp_path, monkeypatch):
    program(tmp_path, "sbatch", "echo Welcome to the cluster 7; echo '12;east'; echo Have fun")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert commands.submit(b"") == "12"


def test_no_variable_of_the_user_changes_what_a_command_of_slurms_does(tmp_path, monkeypatch):
    program(tmp_path, "sbatch", 'test -z "$SBATCH_PARTITION$TOKEN" && echo 1')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SBATCH_PARTITION", "other")
    monkeypatch.setenv("TOKEN", "secret")
    assert commands.submit(b"") == "1"


def test_lines_that_are_no_answer_are_left_out(tmp_path, monkeypatch):
    program(
        tmp_path, "squeue", "echo; echo '12|RUNNING|now|then|later|None|n1|a|b'; echo 'x|RUNNING||||'; echo '1|2'"
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert commands.listed() == [Seen("12", "RUNNING", "now", "None", "n1", "a|b", begun="then", ended="later")]


def test_whoever_only_asks_slurm_takes_no_answer_for_one_that_comes_again(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name, ask in (("squeue", commands.listed), ("sacct", lambda: commands.accounted(["1"]))):
        program(tmp_path, name, f"echo '{name}: error: Access/permission denied' >&2; exit 1")
        with pytest.raises(SlurmAway, match="permission denied"):
            ask()
    program(tmp_path, "sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    assert commands.accounted(["1"]) == []


@pytest.mark.parametrize(
    ("reason", "hopeless"),
    [
        *(
            (reason, False)
            for reason in ("Resources", "JobHeldUser", "ReqNodeNotAvail, May be reserved", "Licenses")
        ),
        *((reason, False) for reason in ("QOSMaxGRESPerUser", "AssocGrpGRES", "PartitionDown", "BeginTime", "")),
        *((reason, True) for reason in ("BadConstraints", "PartitionTimeLimit", "DependencyNeverSatisfied")),
        *((reason, True) for reason in ("QOSMaxGRESPerJob", "AssocMaxWallDurationPerJobLimit", "QOSMinGRES")),
    ],
)
def test_what_waiting_does_not_bring_is_told_from_what_may_come(reason, hopeless):
    assert states.is_hopeless(Seen("7", "PENDING", "now", reason)) is hopeless


def test_a_job_that_waits_for_what_never_comes_is_given_up_soon(tmp_path, monkeypatch):
    program(tmp_path, "sbatch", f"cat >{tmp_path}/script; echo 12")
    said = "12|PENDING|now|N/A|N/A|QOSMaxGRESPerJob||"
    program(tmp_path, "squeue", f'cd {tmp_path}; test ! -e script || sed -n "s,#SBATCH --comment=,{said},p" script')
    program(tmp_path, "scancel", f'echo "$@" >>{tmp_path}/cancelled')
    monkeypatch.setattr("trainci.executors.slurm.executor._HOPELESS_S", 0.1)
    monkeypatch.setattr("trainci.executors.slurm.executor._LATER_S", 0.2)
    executor, told = begun(tmp_path, monkeypatch)
    assert "QOSMaxGRESPerJob" in told.get(timeout=60).why
    ending = told.get(timeout=60).ending
    executor.close()
    assert ending.cause is Cause.NEVER_STARTED and "(QOSMaxGRESPerJob)" in ending.detail
    assert (tmp_path / "cancelled").read_text().startswith("--quiet 12\n")


EAST, WEST = "67108865|{}|18:00:00|N/A|N/A|{}||{}", "67108865|{}|18:00:01|{}|{}|None|{}|{}"


@pytest.mark.parametrize("answers", [True, False])
def test_a_job_that_another_cluster_of_a_federation_takes_over_is_followed_there(tmp_path, monkeypatch, answers):
    """Each cluster has a time of its own at which it was submitted; the first one calls it revoked from then on."""
    program(tmp_path, "sbatch", f"cd {tmp_path}; sed -n 's/#SBATCH --comment=//p' >token; echo 67108865")
    steps = [
        [WEST.format("PENDING", "N/A", "N/A", "", "$k"), EAST.format("PENDING", "Resources", "$k")],
        [WEST.format("RUNNING", "18:00:02", "18:00:09", "n1", "$k"), EAST.format("REVOKED", "None", "$k")],
        [WEST.format("COMPLETED", "18:00:02", "18:00:09", "n1", "$k"), EAST.format("REVOKED", "None", "$k")],
    ]
    if not answers:
        steps = [steps[0], steps[2][1:]]
    for number, lines in enumerate(steps):
        (tmp_path / f"step{number}").write_text("".join(f"{line}\n" for line in lines))
    last = len(steps) - 1
    program(
        tmp_path,
        "squeue",
        f"cd {tmp_path}; test -e token || exit 0; echo >>asked; n=$(($(wc -l <asked) - 1)); "
        f'sed "s/\\$k/$(cat token)/" step$((n < {last} ? n : {last}))',
    )
    program(tmp_path, "scancel", f'echo "$@" >>{tmp_path}/cancelled')
    program(tmp_path, "sacct", "exit 0")
    monkeypatch.setattr("trainci.executors.slurm.executor._HOPELESS_S", 0.1)
    monkeypatch.setattr("trainci.executors.slurm.executor._LATER_S", 0.05)
    executor, told = begun(tmp_path, monkeypatch)
    assert "(Resources)" in told.get(timeout=60).why
    ending = told.get(timeout=60).ending
    executor.close()
    assert ending.cause is Cause.LOST
    said = "ended as COMPLETED" if answers else "no cluster of the federation says that it has job 67108865"
    assert said in ending.detail
    assert (tmp_path / "cancelled").exists() is not answers


@pytest.mark.parametrize("taken", [True, False])
def test_a_report_that_a_slow_file_system_shows_late_is_waited_for(tmp_path, monkeypatch, taken):
    """Of a job that a node has taken; one that ended before that reports nothing."""
    program(tmp_path, "sbatch", f"cd {tmp_path}; sed -n 's/#SBATCH --comment=//p' >token; echo 12")
    over = "12|COMPLETED|now|then|later|None|n1|"
    program(tmp_path, "squeue", f"cd {tmp_path}; test ! -e token || echo '{over}'$(cat token)")
    program(tmp_path, "scancel", "exit 0")
    looks, may_come = [], Attempt.report_may_come

    def shown_at_the_third_look(attempt, patience):
        looks.append(attempt)
        if len(looks) == 3:
            (tmp_path / "a.job/status").write_bytes(dump(Started(1)) + dump(protocol.Ended(0)))
        return may_come(attempt, patience)

    if taken:
        monkeypatch.setattr(Attempt, "prepare", lambda self, *given, **named: self.directory.mkdir())
        monkeypatch.setattr(Attempt, "report_may_come", shown_at_the_third_look)
    executor, told = begun(tmp_path, monkeypatch)
    events = []
    while not events or not isinstance(events[-1], Ended):
        events.append(told.get(timeout=60))
    executor.close()
    assert events[-1].ending.cause is (Cause.EXITED if taken else Cause.LOST)


def test_a_network_file_system_shows_at_once_what_a_node_has_made_and_told(tmp_path, monkeypatch):
    """Seen on NFS 4.2: a file that was not there stays so for half a minute, unless its folder is opened."""
    job = Job(Test("a"), 1, tmp_path / "a.log")
    attempt = Attempt(job, Nobody())
    attempt.account = Account(job, open_log(job.log), (), lambda event: None, Nobody(), float, print)
    attempt.directory.mkdir()
    known, opened = set(), os.open

    def as_nfs(path, flags, *mode):
        if flags & os.O_DIRECTORY:
            known.update(attempt.directory.iterdir())
        elif Path(path).parent == attempt.directory and Path(path) not in known:
            raise FileNotFoundError
        return opened(path, flags, *mode)

    attempt.follow()
    status = node.begin(attempt.directory)
    assert fcntl.fcntl(status, fcntl.F_GETFL) & os.O_DSYNC, "nor is what it tells kept back by the node"
    os.write(status, dump(Started(1)))
    monkeypatch.setattr(os, "open", as_nfs)
    assert attempt.follow() and attempt.started


@pytest.mark.parametrize("comes", [True, False])
def test_a_job_that_slurm_takes_only_once_others_are_over_waits_for_that(tmp_path, monkeypatch, comes):
    """Not for longer than one may wait that is submitted."""
    refuses = "echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2; exit 1"
    times = 3 if comes else 1_000_000
    program(
        tmp_path,
        "sbatch",
        f"cd {tmp_path}; echo >>tries; test $(wc -l <tries) -gt {times} || {{ {refuses}; }}; cat >script; echo 12",
    )
    over = "s/#SBATCH --comment=/12|FAILED|now|then|later|None||/p"
    program(tmp_path, "squeue", f"cd {tmp_path}; test ! -e script || sed -n '{over}' script")
    program(tmp_path, "scancel", "exit 0")
    monkeypatch.setattr("trainci.executors.slurm.submitting._FULL_S", 0.05)
    executor, told = begun(tmp_path, monkeypatch, slurm=Slurm(queue=1000.0 if comes else 0.5))
    assert told.get(timeout=60).why == "Slurm takes no more jobs for now: QOSMaxSubmitJobPerUserLimit"
    ending = told.get(timeout=60).ending
    executor.close()
    assert ending.cause is (Cause.LOST if comes else Cause.NEVER_STARTED)
    assert "QOSMaxSubmitJobPerUserLimit" in ending.detail or comes


def test_a_slurm_that_does_not_answer_at_all_is_told_before_anything_is_submitted(tmp_path, monkeypatch):
    for name in ("sbatch", "squeue", "scancel"):
        program(tmp_path, name, "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    monkeypatch.setattr("trainci.executors.slurm.executor._PATIENCE_S", 0.1)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(MachineError, match=r"Slurm does not answer: .*Unable to contact slurm"):
        slurm_executor(Wanted(tmp_path, "cpu:4")).open()


@pytest.mark.slow
def test_a_database_that_is_away_holds_up_no_other_job_and_is_given_up_in_time(tmp_path, monkeypatch):
    """Of two jobs one has ended, as squeue says, and only the database could know of the other."""
    program(tmp_path, "sbatch", f"cat >{tmp_path}/script-$$; mkdir {tmp_path}/12 2>/dev/null && echo 12 || echo 13")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("trainci.executors.slurm.executor._PATIENCE_S", 3.0)
    monkeypatch.setattr("trainci.executors.slurm.executor.LATE_S", 1.0)
    monkeypatch.setattr("trainci.executors.slurm.executor._LATER_S", 0.2)
    program(
        tmp_path, "sacct", "echo 'sacct: error: Problem talking to the database: Connection refused' >&2; exit 1"
    )
    program(tmp_path, "squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    executor = slurm_executor(Wanted(tmp_path, "cpu:4"))
    told = queue.SimpleQueue()
    jobs = [Job(Test(name, command=("true",)), 1, tmp_path / f"{name}.log") for name in "ab"]
    for job in jobs:
        executor.start(job, told.put, Nobody())
    wait_until(lambda: all(attempt.job_id for attempt in executor._under_way()), "both to be submitted")
    tokens = {attempt.job_id: attempt.token for attempt in executor._under_way()}
    program(tmp_path, "squeue", f"echo '12|FAILED|now|then|later|NonZeroExitCode|n1|{tokens['12']}'")
    events = iter(lambda: told.get(timeout=60), None)
    first, second = itertools.islice((event for event in events if isinstance(event, Ended)), 2)
    executor.close()
    assert "job 12 of Slurm ended as FAILED" in first.ending.detail
    assert second.ending == Ending(Cause.LOST, detail="Slurm knows no job 13 any more")
    assert second.at - first.at > 1


def test_a_job_that_was_cancelled_is_told_so_though_no_database_says_by_whom(tmp_path, monkeypatch):
    """Its lease told of a signal meanwhile."""
    away = "Problem talking to the database: Connection refused"
    program(tmp_path, "sbatch", f"cat >{tmp_path}/script; echo 12")
    program(tmp_path, "sacct", f"echo 'sacct: error: {away}' >&2; exit 1")
    times = "2026-11-26T18:00:00|2026-11-26T18:02:00"
    once = f"sed -n 's/#SBATCH --comment=/12|CANCELLED|now|{times}|None|n1|/p' script"
    program(tmp_path, "squeue", f"cd {tmp_path} && if test -e told; then {once}; fi")
    monkeypatch.setattr("trainci.executors.slurm.executor._PATIENCE_S", 3.0)
    monkeypatch.setattr("trainci.executors.slurm.sharing._PATIENCE_S", 0.5)
    executor, told = begun(tmp_path, monkeypatch)
    wait_until(lambda: all(attempt.job_id for attempt in executor._under_way()), "it to be submitted")
    (tmp_path / "a.job/status").write_bytes(dump(Started(1)) + dump(protocol.Ended(signal=15)))
    wait_until(lambda: all(attempt.reported for attempt in executor._under_way()), "its report")
    (tmp_path / "told").touch()
    events = iter(lambda: told.get(timeout=60), None)
    ended = next(event for event in events if isinstance(event, Ended))
    executor.close()
    assert ended.ending.detail == "job 12 of Slurm on n1 was cancelled"


@pytest.mark.parametrize("over", [TIMED_OUT, OUT_OF_TIME])
def test_a_test_whose_time_limit_passed_while_slurm_held_it_still_was_preempted(tmp_path, over):
    told = []
    attempt = Attempt(Job(Test("a"), 1, tmp_path / "a.log"), Nobody())
    attempt.account = Account(attempt.job, open_log(attempt.job.log), (), told.append, Nobody(), float, print)
    attempt.suspended, attempt.over = True, over
    attempt.finish()
    assert (told[-1].ending.cause, told[-1].ending.detail[:16]) == (Cause.PREEMPTED, "it was suspended")


@pytest.mark.slow
def test_a_job_that_only_the_database_takes_for_alive_is_lost(tmp_path, monkeypatch):
    """A controller that was killed has forgotten it; sacct says PENDING for ever."""
    program(tmp_path, "sbatch", f"cat >{tmp_path}/script; echo 12")
    once = "sed -n 's/#SBATCH --comment=/12|PENDING|now|N\\/A|N\\/A|None||/p' script && rm script"
    program(tmp_path, "squeue", f"cd {tmp_path} && if test -e script; then {once}; fi")
    program(tmp_path, "sacct", "echo '12|PENDING|now|Unknown|Unknown|None|None assigned|'")
    monkeypatch.setattr("trainci.executors.slurm.executor._LATER_S", 0.2)
    executor, told = begun(tmp_path, monkeypatch)
    ended = told.get(timeout=60)
    executor.close()
    assert ended.ending == Ending(Cause.LOST, detail="Slurm knows no job 12 any more")


def test_slurm_whose_answers_are_a_while_behind_has_lost_no_job(tmp_path, monkeypatch):
    """What lists jobs for many users may keep its answer for a while, or have none yet."""
    program(tmp_path, "sbatch", f"cat >{tmp_path}/script; echo 12")
    once = "sed -n 's/#SBATCH --comment=/12|COMPLETED|now|then|later|None|n1|/p' script"
    program(
        tmp_path,
        "squeue",
        f"cd {tmp_path} && test -e script && echo >>asked && test $(wc -l <asked) -lt 7 || {once}",
    )
    program(tmp_path, "sacct", "exit 0")
    program(tmp_path, "scancel", "exit 0")
    monkeypatch.setattr("trainci.executors.slurm.executor._SOON_S", 0.05)
    executor, told = begun(tmp_path, monkeypatch)
    ended = told.get(timeout=60)
    executor.close()
    assert ended.ending.detail == "job 12 of Slurm ended as COMPLETED and no report"


@pytest.mark.slow
def test_a_job_that_was_taken_for_gone_and_shows_up_again_is_cancelled(tmp_path, monkeypatch):
    """It runs beside another try of its test."""
    program(tmp_path, "sbatch", f"cat >{tmp_path}/script-$$; mkdir {tmp_path}/12 2>/dev/null && echo 12 || echo 13")
    program(tmp_path, "scancel", f'echo "$@" >>{tmp_path}/cancelled')
    program(tmp_path, "sacct", "exit 0")
    program(tmp_path, "squeue", "exit 0")
    monkeypatch.setattr("trainci.executors.slurm.executor.LATE_S", 1.0)
    monkeypatch.setattr("trainci.executors.slurm.executor._LATER_S", 0.2)
    executor, told = begun(tmp_path, monkeypatch)
    wait_until(lambda: [attempt.job_id for attempt in executor._under_way()] == ["12"], "it to be submitted")
    (first,) = executor._under_way()
    assert told.get(timeout=60).ending.detail == "Slurm knows no job 12 any more"
    program(tmp_path, "squeue", f"echo '12|RUNNING|now|then|N/A|None|n1|{first.token}'")
    executor.start(Job(Test("a", command=("true",)), 2, tmp_path / "a-2.log"), told.put, Nobody())
    wait_until((tmp_path / "cancelled").exists, "it to be cancelled")
    told.get(timeout=60)
    executor.close()
    assert set((tmp_path / "cancelled").read_text().splitlines()) == {"--quiet 12"}


@pytest.mark.parametrize(
    ("ours", "other", "runs"),
    [
        ("PENDING", "RUNNING", "13"),
        ("FAILED", "RUNNING", "13"),
        ("FAILED", "PENDING", "13"),
        ("RUNNING", "PENDING", "12"),
        ("RUNNING", "FAILED", "12"),
        ("PENDING", "PENDING", "12"),
        ("RUNNING", "RUNNING", "12"),
        ("COMPLETED", "FAILED", "12"),
    ],
)
def test_of_two_jobs_of_one_attempt_the_one_that_runs_is_followed_and_the_other_ends(
    tmp_path, monkeypatch, ours, other, runs
):
    """sbatch of a client that was killed, or that was given up, submitted after it had been looked for."""
    job, cancelled = Job(Test("a"), 1, tmp_path / "a.log"), []
    monkeypatch.setattr(commands, "cancel", cancelled.extend)
    executor, attempt = slurm_executor(Wanted(tmp_path, "cpu:4")), Attempt(job, Nobody())
    attempt.directory.mkdir()
    attempt.was_submitted("12")
    attempt.was_seen("at one", 0.0)
    found = [Seen("12", ours, "at one", begun="then"), Seen("13", other, "at two", begun="then")]
    for order in (found, found[::-1]):
        (kept,) = executor._of_one_job(attempt, order)
        assert kept.job_id == attempt.job_id == runs
        assert not states.was_queued_again(kept, attempt.submitted)
    over = [seen.job_id for seen in found if seen.job_id != runs and not states.is_over(seen)]
    assert cancelled == [*over, *over]


def test_a_job_that_has_ended_and_that_slurm_takes_for_running_is_cancelled_at_the_end(tmp_path, monkeypatch):
    """A controller that was killed has forgotten that, and is away; another run's job is left alone."""
    program(tmp_path, "sbatch", f"cat >{tmp_path}/script; echo 12")
    away = "echo 'Unable to contact slurm controller' >&2; exit 1"
    away = f"if test -e seen -a ! -e away; then touch away; {away}; fi"
    states = f"if test -e {tmp_path}/seen; then state=RUNNING; else state=COMPLETED; touch {tmp_path}/seen; fi"
    once = (
        'sed -n "s/#SBATCH --comment=/12|$state|now|then|later|None||/p" script; '
        "echo '13|RUNNING|now|then|later|None||other'; "
        f"echo '14|PENDING|now|then|later|None||trainci:{tmp_path.name}:of-an-earlier-client'"
    )
    program(tmp_path, "squeue", f"cd {tmp_path}; {away}; if test -e script; then {states}; {once}; fi")
    program(tmp_path, "scancel", f'echo "$@" >>{tmp_path}/cancelled')
    executor, told = begun(tmp_path, monkeypatch)
    told.get(timeout=60)
    executor.close()
    assert (tmp_path / "cancelled").read_text() == "--quiet 12 14\n"


@pytest.mark.parametrize(
    ("reason", "start", "told"),
    [
        ("None", "N/A", ""),
        ("", "N/A", ""),
        ("Resources", "N/A", "job 7 of Slurm waits for devices or nodes that others use (Resources)"),
        ("QOSMaxJobsPerUserLimit", "N/A", "job 7 of Slurm waits for a limit of its quality of service (QOSMaxJobs"),
        ("AssocGrpGRES", "Unknown", "job 7 of Slurm waits for a limit of its account (AssocGrpGRES)"),
        (
            "ReqNodeNotAvail, Unavailable:n1",
            "N/A",
            "job 7 of Slurm waits for a node that is not available (ReqNode",
        ),
        ("Prolog", "N/A", "job 7 of Slurm waits for Prolog"),
        ("BadConstraints", "N/A", "job 7 of Slurm waits for nothing: no node is as it asks for (BadConstraints)"),
        (
            "Priority",
            "2026-11-26T10:00:00",
            "job 7 of Slurm waits for jobs that go before it (Priority); Slurm expects to begin it at 2026-11-26",
        ),
    ],
)
def test_what_a_job_waits_for_is_said_with_slurms_own_word(reason, start, told):
    said = waits_for(Seen("7", "PENDING", "now", reason, begun=start))
    assert said.startswith(told) and bool(said) == bool(told)


def test_what_a_waiting_job_waits_for_is_an_event_once_and_anew_when_that_changes(tmp_path):
    told = []
    attempt = Attempt(Job(Test("a"), 1, tmp_path / "a.log"), Nobody())
    attempt.account = Account(attempt.job, open_log(attempt.job.log), (), told.append, Nobody(), float, print)
    for reason, start in (
        ("None", ""),
        ("Resources", ""),
        ("Resources", ""),
        ("Resources", "10:00"),
        ("Resources", "10:05"),
        ("Priority", "10:05"),
    ):
        attempt.waits(reason, start, "" if reason == "None" else f"{reason} {start}")
    assert [(event.ahead, event.why) for event in told] == [
        (None, "Resources "),
        (None, "Resources 10:00"),
        (None, "Priority 10:05"),
    ]
    assert {type(event) for event in told} == {Waiting}


PREEMPTED = Ending(Cause.PREEMPTED, detail="job 7 of Slurm was preempted by another job")


@pytest.mark.parametrize(
    ("shared", "reported", "ordered", "cause"),
    [
        (PREEMPTED, None, False, Cause.PREEMPTED),
        (PREEMPTED, SIGTERM, True, Cause.PREEMPTED),
        (PREEMPTED, EXIT_1, False, Cause.PREEMPTED),
        (PREEMPTED, PASSED, True, Cause.PREEMPTED),
        (PREEMPTED, PASSED, False, Cause.EXITED),
        (PREEMPTED, TIMED_OUT, False, Cause.TIMED_OUT),
        (TIMED_OUT, SIGTERM, True, Cause.LOST),
        (TIMED_OUT, None, False, Cause.LOST),
        (OUT_OF_TIME, SIGTERM, True, Cause.LOST),
        (PASSED, None, False, Cause.LOST),
        (PASSED, EXIT_1, False, Cause.EXITED),
        (SIGTERM, EXIT_1, False, Cause.EXITED),
        (SIGTERM, Ending(Cause.EXITED, 143), False, Cause.LOST),
        (OUT_OF_TIME, SIGTERM, False, Cause.LOST),
        (PASSED, Ending(Cause.EXITED, 143), False, Cause.EXITED),
        (Ending(Cause.NEVER_STARTED, detail="Slurm does not take its job: no"), None, False, Cause.NEVER_STARTED),
    ],
)
def test_the_end_of_an_allocation_is_no_ending_of_a_tests_own(shared, reported, ordered, cause):
    found = packs.ending_within(shared, reported, stopped=False, ordered=ordered)
    assert found.cause is cause
    if cause is not Cause.EXITED and cause is not Cause.TIMED_OUT:
        assert found.detail


@pytest.mark.parametrize(("code", "at_once"), [(1, True), (0, True), (143, False), (137, False)])
def test_an_end_that_the_end_of_its_allocation_may_have_brought_is_believed_later(tmp_path, code, at_once):
    """A controller that was killed has forgotten that it had the allocation ended, and takes it for running."""
    test = packed("a", 1)
    executor = slurm_executor(Wanted(tmp_path, "cpu:4", tests=[test]))
    attempt = Attempt(Job(test, 1, tmp_path / "a.log"), Nobody())
    allocation = executor._allocation_for(attempt)
    attempt.directory.mkdir()
    attempt.join(allocation.directory.name)
    told = queue.SimpleQueue()
    attempt.account = Account(attempt.job, open_log(attempt.job.log), (), told.put, Nobody(), float, print)
    attempt.account.status(dump(protocol.Ended(code)))
    attempt.reported_at = 100.0
    executor._attempts.append(attempt)
    executor._confirm(allocation, 101.0)
    assert (attempt not in executor._under_way()) is at_once
    executor._confirm(allocation, 120.0)
    assert told.get(timeout=60).ending.exit_code == code


def test_what_we_ended_in_an_allocation_is_so_told():
    assert packs.ending_within(PREEMPTED, None, stopped=True, ordered=False) == SIGTERM


def packed(name, gpus, timeout=60.0, **more):
    return Test(name, command=("true",), num_gpus=gpus, timeout=timeout, pack="short", **more)


@pytest.mark.parametrize(
    ("tests", "gpus", "seconds"),
    [
        ([packed("a", 8, num_nodes=2), packed("b", 2, num_nodes=2), packed("c", 2)], 8, 120),
        ([packed("a", 0, num_nodes=2), packed("b", 0, 90, num_nodes=2)], 0, 90),
        ([packed("a", 1), packed("b", 2)], 3, 60),
        ([packed("a", 4), packed("b", 8), packed("c", 4, 120)], 8, 150),
        ([packed("a", 0), packed("b", 0, 90)], 0, 90),
        ([packed("a", 2), packed("b", 8, num_nodes=2), replace(packed("c", 8), pack="other")], 2, 60),
    ],
)
def test_an_allocation_has_what_its_tests_want_together_and_at_most_a_node(tmp_path, tests, gpus, seconds):
    job = packs.shared(tests[0], tests, 8, tmp_path, 1)
    assert (job.num_gpus, job.num_nodes) == (gpus, tests[0].num_nodes)
    assert job.time_limit == seconds + 120


def test_the_script_of_a_packed_test_is_that_of_the_allocation_which_it_shares(tmp_path):
    two = [packed("c", 8, num_nodes=2), packed("e", 4, num_nodes=2)]
    tests = [packed("a", 1), packed("b", 2), *two, Test("d", num_gpus=4, command=("true",))]
    a, b, c, e, d = map(slurm_executor(Wanted(tmp_path, tests=tests)).submission, tests)
    assert a == b and "--job-name=trainci-pack-short\n" in a and "--gres=gpu:3\n" in a and "--nodes=1\n" in a
    assert c == e and "--job-name=trainci-pack-short\n" in c and "--gres=gpu:8\n" in c and "--nodes=2\n" in c
    assert "--job-name=trainci-d\n" in d and "--gres=gpu:4\n" in d


def test_a_test_of_several_nodes_has_all_devices_of_its_allocation_to_itself(tmp_path):
    one, two, cpu = packed("a", 2), packed("b", 2, num_nodes=2), packed("c", 0, num_nodes=2)
    tests = [one, two, cpu, packed("d", 8, num_nodes=2), packed("e", 4)]
    for test, devices in ((one, 2), (two, 8), (cpu, 0)):
        allocation = packs.shared(test, tests, 8, tmp_path, 1)
        assert packs.devices_within(Job(test, 1, tmp_path / "a.log"), allocation) == devices


@pytest.mark.parametrize("container", [(), ("podman", "run", "image")])
def test_a_job_in_a_container_keeps_the_paths_of_its_image(tmp_path, container):
    executor = SlurmExecutor(Wanted(tmp_path, slurm=Slurm(container=container)), Pool((), virtual=True))
    attempt = Attempt(Job(Test("a", command=("a",)), 1, tmp_path / "a.log"), Nobody())
    executor._equip(attempt, lambda event: None, container)
    told = json.loads((attempt.directory / TOLD).read_text())["variables"]
    assert bool({"PYTHONPATH", "TRAINCI_ENDS"} & told.keys()) is not bool(container)


@pytest.mark.parametrize(
    ("wanted", "of_node", "path"),
    [
        ("/venv/bin:/usr/bin:/bin", "/cuda/bin:/usr/bin:/bin", "/venv/bin:/cuda/bin:/usr/bin:/bin"),
        ("/venv/bin:/usr/bin:/bin", "/sbin", "/venv/bin:/sbin:/usr/bin:/bin"),
        ("/usr/bin:/bin", "/cuda/bin:/usr/bin:/bin", "/cuda/bin:/usr/bin:/bin"),
        ("/of/the/test", "/cuda/bin:/usr/bin:/bin", "/of/the/test"),
    ],
)
def test_what_is_set_up_on_a_node_goes_before_the_clients_path_and_after_the_interpreter(wanted, of_node, path):
    assert node._path(wanted, "/usr/bin:/bin", of_node) == path


def test_that_slurm_began_a_job_twice_is_seen_by_the_next_client_too(tmp_path):
    job = Job(Test("a"), 1, tmp_path / "a.log")
    first, second = Attempt(job, Nobody()), Attempt(job, Nobody())
    with open_log(job.log) as log:
        first.prepare([], tmp_path, log, probed=False)
        first.was_begun("10:00")
        assert second.recall(log)
    second.was_begun("10:09")
    assert second.forgotten


@pytest.mark.parametrize("left", ["", '{"token": "trai', "[]", '{"job_id": "7"}'])
def test_a_job_that_runs_is_gone_on_with_whatever_became_of_what_was_remembered_of_it(tmp_path, left):
    """As after a host that lost its power; one that no node has begun never will, and is submitted anew."""
    job = Job(Test("a"), 1, tmp_path / "a.log")
    for begun in (True, False):
        first, second = Attempt(job, Nobody()), Attempt(job, Nobody())
        with open_log(job.log) as log:
            first.prepare([], tmp_path, log, probed=False)
            (first.directory / "submission.json").write_text(left)
            if begun:
                assert node.begin(first.directory) is not None
            assert second.recall(log) is begun
        assert first.directory.exists() is begun
        assert second.token == first.token, "by which its job is found"
        shutil.rmtree(first.directory, ignore_errors=True)
    others = [replace(job, attempt=2, log=tmp_path / "a-2.log"), replace(job, phase=Phase.PREPARE)]
    assert len({Attempt(other, Nobody()).token for other in [job, *others]}) == 3


def test_a_job_of_an_earlier_client_whose_files_are_gone_is_not_submitted_a_second_time(tmp_path, monkeypatch):
    """It runs on, and tells of nothing."""
    token = Attempt(Job(Test("a"), 1, tmp_path / "a.log"), Nobody()).token
    program(tmp_path, "sbatch", f"touch {tmp_path}/submitted; echo 13")
    program(tmp_path, "squeue", f"echo '12|COMPLETED|now|then|later|None|n1|{token}'")
    program(tmp_path, "scancel", "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    executor, told = slurm_executor(Wanted(tmp_path, "cpu:4")), queue.SimpleQueue()
    executor.open()
    executor.start(Job(Test("a", command=("true",)), 1, tmp_path / "a.log"), told.put, Nobody())
    assert told.get(timeout=60).ending.detail == "job 12 of Slurm ended as COMPLETED and no report"
    executor.close()
    assert not (tmp_path / "submitted").exists()


@pytest.mark.parametrize(("by", "cause"), [("", Cause.LOST), (" by 0", Cause.CANCELLED)])
def test_what_slurms_database_alone_calls_cancelled_by_nobody_was_forgotten(by, cause):
    """It closes so what a controller that was replaced does not know."""
    said = Seen("7", f"CANCELLED{by}".partition(" by ")[0], "now", ended_by=by.removeprefix(" by "))
    (seen,) = states.together([], [said])
    assert ending(seen, None, forgotten=seen.forgotten).cause is cause
    (seen,) = states.together([said], [said])
    assert not seen.forgotten


def test_packed_tests_share_one_job_which_is_given_back_as_soon_as_the_run_is_over(tmp_path, monkeypatch):
    """Around real leases and a real agent: a Slurm that begins a job at once."""
    program(
        tmp_path,
        "sbatch",
        f"cd {tmp_path} && cat >script; (bash script; touch over) >&- 2>&- & echo 12 | tee -a jobs",
    )
    state = (
        f"cd {tmp_path}; test -e script || exit 0; if test -e over; then state=COMPLETED; else state=RUNNING; fi"
    )
    program(tmp_path, "squeue", f'{state}; sed -n "s/#SBATCH --comment=/12|$state|now|then|later|None||/p" script')
    program(tmp_path, "scancel", f"touch {tmp_path}/cancelled")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TRAINCI_LOCK_DIR", str(tmp_path / "locks"))
    tests = [replace(packed(name, 1), command=("sh", "-c", f"echo {name} $TRAINCI_DEVICES")) for name in "abcd"]
    executor = slurm_executor(Wanted(tmp_path, "cpu:4", tests=tests))
    told = queue.SimpleQueue()
    later, share = [Job(test, 1, tmp_path / f"{test.id}.log") for test in tests], executor._share

    def share_and_meanwhile_start_another():
        share()
        if later:
            executor.start(later.pop(), told.put, Nobody())

    monkeypatch.setattr(executor, "_share", share_and_meanwhile_start_another)
    executor.start(later.pop(), told.put, Nobody())
    ended = []
    while len(ended) < 4:
        event = told.get(timeout=60)
        ended += [event] if isinstance(event, Ended) else []
    began = time.monotonic()
    executor.close()
    assert time.monotonic() - began < 9, "nobody waits until it is idle"
    assert [event.ending.passed for event in ended] == [True] * 4, ended
    said = [(tmp_path / f"{name}.log").read_text().split() for name in "abcd"]
    assert [one[0] for one in said] == ["a", "b", "c", "d"]
    assert {one[1] for one in said} <= {"cpu-0", "cpu-1", "cpu-2", "cpu-3"}
    assert (tmp_path / "jobs").read_text() == "12\n"
    assert not (tmp_path / "cancelled").exists()


def test_an_allocation_that_another_thread_ends_meanwhile_has_ended_once(tmp_path):
    """Whoever closes the executor gives it up while what follows it hears of its end."""
    test, told = packed("a", 1), queue.SimpleQueue()
    executor = slurm_executor(Wanted(tmp_path, "cpu:4", tests=[test]))
    allocation = executor._allocation_for(Attempt(Job(test, 1, tmp_path / "a.log"), Nobody()))
    allocation.account._emit = told.put
    follow = allocation.follow

    def meanwhile(**options):
        allocation.follow = follow
        executor._end(allocation, SIGTERM)
        return follow(**options)

    allocation.follow = meanwhile
    executor._end(allocation, EXIT_1)
    assert executor._under_way() == []
    assert told.get(timeout=60).ending == SIGTERM
    assert told.empty()


@pytest.mark.parametrize(
    ("name", "value"),
    [("PYTHONOPTIMIZE", "1"), ("MAKEFLAGS", "i"), ("PYTEST_ADDOPTS", "--co"), ("GITHUB_OUTPUT", "o")],
)
def test_what_hides_failures_or_is_a_steps_own_is_not_passed_on_to_a_node(tmp_path, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("KEPT", "yes")
    job = Job(Test("a", framework="pytest"), 1, tmp_path / "a.log")
    attempt = Attempt(job, Nobody())
    with open_log(job.log) as log:
        attempt.prepare([], tmp_path, log, probed=False)
    told = json.loads((attempt.directory / "job.json").read_text())
    assert told["inherited"]["KEPT"] == "yes"
    assert name not in told["inherited"]
    assert value not in told["variables"].get(name, "").split()
