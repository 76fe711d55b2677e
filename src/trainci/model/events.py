"""What happens during a run: a closed family of values, one class a kind. Times are Unix timestamps (UTC).

Listeners are told ``Control``. ``Output`` is the one kind that comes in any amount: it goes from an executor to
whoever shows it, past the loop and every listener.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trainci.model.diagnosis import Diagnosis
from trainci.model.gates import Measured
from trainci.model.run import Ending, Failure, Phase, Results, Verdict


@dataclass(frozen=True)
class Planned:
    """A test that a run is to make, how many devices it needs, why it was selected, and what runs it alone.

    ``fail_on_flaky``: the run fails where it passes only when tried again. ``file`` is its own, relative to the
    project's root; empty where it has none.
    """

    test_id: str
    gpus: int
    reason: str
    replay: str = ""
    fail_on_flaky: bool = False
    file: str = ""


@dataclass(frozen=True)
class RunStarted:
    """The run begins, on ``host``. ``devices`` says in words what it runs on.

    ``on_base``: its commit, as it is there, is on the base branch.
    """

    at: float
    run_id: str
    commit: str
    devices: str
    tests: tuple[Planned, ...]
    host: str = ""
    on_base: bool = False


@dataclass(frozen=True)
class TestEvent:
    """Not a kind of its own: what happened to a test. ``attempt`` counts from 1."""

    at: float
    test_id: str
    attempt: int


@dataclass(frozen=True)
class Queued(TestEvent):
    """An attempt begins. ``log`` is a path relative to the project's root, ``image`` the container that it runs in.

    ``why`` says for which metric it repeats one that passed; it is empty for every other.
    """

    log: str
    gpus: int
    image: str = ""
    why: str = ""


@dataclass(frozen=True)
class PhaseEvent(TestEvent):
    """Not a kind of its own: what happened to the process of one phase, or of both in one go."""

    phase: Phase


@dataclass(frozen=True)
class Waiting(PhaseEvent):
    """Others hold its devices; ``ahead`` requests came before it (None: an engine does not say how many).

    ``why`` says who, or what else it waits for; told again when that changes.
    """

    ahead: int | None
    why: str = ""


@dataclass(frozen=True)
class Granted(PhaseEvent):
    """It holds ``devices`` (ids of Devices) of a ``device_kind``, as the runner calls it, until it ends."""

    devices: tuple[str, ...]
    device_kind: str = ""


@dataclass(frozen=True)
class Started(PhaseEvent):
    """Its process runs."""

    pid: int


@dataclass(frozen=True)
class Output(PhaseEvent):
    """It printed ``data``, which begins and ends anywhere: in a line, in a character.

    ``logged``: all of it is in the log, too.
    """

    data: bytes
    logged: bool = True


@dataclass(frozen=True)
class Ended(PhaseEvent):
    """No process of it lives, and what it printed is in the log.

    ``results`` is what else it left, ``diagnosis`` whose fault a failure was, ``measured`` what it recorded of
    gated metrics, ``failures`` what failed in it though it exited with 0.
    """

    ending: Ending
    results: Results | None = None
    diagnosis: Diagnosis | None = None
    measured: tuple[Measured, ...] = ()
    failures: tuple[Failure, ...] = ()

    @property
    def final(self) -> bool:
        """The attempt has ended with it, and not only a prepare phase that the other phase follows."""
        return self.phase is not Phase.PREPARE or not self.ending.passed


@dataclass(frozen=True)
class Concluded(TestEvent):
    """The verdict of a test; ``attempt`` is how many there were, 0 for a test that was not run."""

    verdict: Verdict


@dataclass(frozen=True)
class Interrupted:
    """The user ends the run."""

    at: float


@dataclass(frozen=True)
class RunEnded:
    """The run has ended."""

    at: float
    exit_code: int


Control = RunStarted | Queued | Waiting | Granted | Started | Ended | Concluded | Interrupted | RunEnded
Event = Control | Output
Listener = Callable[[Control], None]
