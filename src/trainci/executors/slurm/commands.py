"""Slurm's own commands: each with a deadline, its answer read in a parsable format, in a small environment."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from trainci.errors import MachineError

DEADLINE_S = 30.0
_AWAY = re.compile(
    r"[Uu]nable to contact slurm|timed out|Connection refused|Communication connection|Zero Bytes|"
    r"Transport endpoint|in standby mode|Unexpected message received|temporarily unable|Socket|"
    # Of munge, or another plugin that says who asks, on either side.
    r"[Mm]unge|authentication"
)
# Of an account, a quality of service or a user (QOSMaxSubmitJobPerUserLimit, AssocGrpSubmitJobsLimit, …), of Slurm
# (MaxJobCount), or of a partition that an administrator has closed for a while (slurm_errno.c).
_FULL = re.compile("(Max|Grp)SubmitJob|Resource temporarily unavailable|Required partition not available")
_NO_DATABASE = re.compile("accounting storage is disabled|cannot be started")
# What these commands need; SBATCH_… and SQUEUE_… of the user's would change what they do and how they say it.
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "SLURM_CONF", "SLURM_JWT", "LD_LIBRARY_PATH", "TZ")
# What a federation calls, for a moment, a job that a cluster of it gives up to another (slurm.h, NO_VAL).
_NO_JOB = 0xFFFFFFF0
_LISTED = "%i|%T|%V|%S|%e|%r|%N|%k"
_ACCOUNTED = "JobIDRaw,State,Submit,Start,End,Reason,NodeList,Comment"


class SlurmAway(MachineError):
    """The controller, or the database, does not answer. It may soon."""


class SlurmRefused(MachineError):
    """Slurm answered, and does not do it; the text is its own sentence."""


class SlurmFull(SlurmRefused):
    """It takes no more jobs for now: so many as may be are submitted and not over."""


@dataclass(frozen=True)
class Seen:
    """What Slurm says of a job.

    ``state`` is one of its words (squeue(1), JOB STATE CODES) in capitals, ``ended_by`` a user id where somebody
    cancelled it and Slurm says who. ``submitted`` and ``begun`` are times in Slurm's own writing: of two jobs with
    one id, and of a job that was queued again, the first differs; the second is a guess before the job has begun.
    ``ended`` is such a time, too, of a job that is over. ``comment`` may be empty where only the database knows it.
    ``forgotten``: Slurm itself cancelled what it does not know any more.
    """

    job_id: str
    state: str
    submitted: str
    reason: str = ""
    nodes: str = ""
    comment: str = ""
    ended_by: str = ""
    begun: str = ""
    ended: str = ""
    forgotten: bool = False


def submit(script: bytes) -> str:
    """Submit a batch script; the id of its job.

    :raises SlurmAway: it may have been submitted, or not.
    :raises SlurmFull: Slurm does not take it now.
    :raises SlurmRefused: Slurm does not take it.
    """
    said = _run(["sbatch", "--parsable"], script)
    # "12", or "12;cluster" (sbatch(1), --parsable); what the site's own programs say may come before or after.
    ids = re.findall(r"^(\d+)(?:;\S+)?\s*$", said, re.MULTILINE)
    if not ids:
        raise SlurmRefused(f"sbatch said no id of a job: {said.strip()!a}")
    return str(ids[-1])


def listed() -> list[Seen]:
    """This user's jobs, those included that ended a short while ago (MinJobAge of slurm.conf).

    In a federation each cluster has a line for a job until one of them begins it.

    :raises SlurmAway: the controller does not answer that: whoever only asks is refused nothing for good.
    """
    command = ["squeue", "--noheader", "--sibling", "--states=all", f"--user={os.getuid()}", f"--format={_LISTED}"]
    try:
        said = _run(command)
    except SlurmRefused as error:
        raise SlurmAway(str(error)) from None
    return list(_read(said.splitlines()))


def accounted(job_ids: Iterable[str]) -> list[Seen]:
    """What the database says of these jobs, every one of an id that was used again; nothing where there is none.

    :raises SlurmAway: the database does not answer.
    """
    command = ["sacct", "--noheader", "--federation", "--parsable2", "--allocations", "--duplicates"]
    # By our clock, which may be behind, a job that has just begun would begin later than now.
    command.append("--endtime=now+1days")
    try:
        said = _run([*command, f"--jobs={','.join(job_ids)}", f"--format={_ACCOUNTED}"])
    except SlurmRefused as error:
        if _NO_DATABASE.search(str(error)):
            return []
        raise SlurmAway(str(error)) from None
    return list(_read(said.splitlines()))


def cancel(job_ids: Iterable[str]) -> None:
    """End these jobs, whatever became of them.

    :raises SlurmAway: the controller does not answer.
    """
    try:
        _run(["scancel", "--quiet", *job_ids])
    except SlurmRefused:  # one of them has ended by now
        return


def _read(lines: Iterable[str]) -> Iterable[Seen]:
    for line in lines:
        fields = line.split("|", 7)
        if len(fields) != 8 or not fields[0].isdecimal() or int(fields[0]) >= _NO_JOB:
            continue
        job_id, said, submitted, begun, ended, reason, nodes, comment = fields
        # sacct: "CANCELLED by 0".
        state, _, by = said.partition(" by ")
        yield Seen(job_id, state.strip().rstrip("+"), submitted, reason, nodes, comment, by.strip(), begun, ended)


def _run(command: list[str], given: bytes = b"") -> str:
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    try:
        done = subprocess.run(
            command,
            input=given,
            capture_output=True,
            env=environment,
            # Not the repository: a job begins where it was submitted, which the node may not have.
            cwd="/",
            timeout=DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SlurmAway(f"{command[0]} said nothing for {DEADLINE_S:g} s") from None
    except OSError as error:
        raise SlurmRefused(f"{command[0]} cannot be started: {error.strerror}") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        # The last one says that it failed, those before it why.
        errors = re.findall(rf"^{command[0]}: (?:error|fatal): (.*)", said, re.MULTILINE) or said.splitlines()[-1:]
        kind = SlurmAway if _AWAY.search(said) else SlurmFull if _FULL.search(said) else SlurmRefused
        raise kind("; ".join(errors) or f"{command[0]} failed")
    return done.stdout.decode("utf-8", "replace")
