"""A fact of the machine decides where it can explain the ending, and only there."""

from __future__ import annotations

import pytest
from verdict.test_diagnose import judged, raised

from trainci.model.diagnosis import Blame, Facts

NOT_FOUND = "ERROR: No matching distribution found for flash-attn==9.9.9"
LISTED = "ERROR: Could not find a version that satisfies the requirement x==9 (from versions: 1.0, 2.0)"
NO_INDEX = "ERROR: Could not find a version that satisfies the requirement x==9 (from versions: none)"
FACTS = {
    "clock": Facts(exit_code=1, clock_jumped=True),
    "disk": Facts(exit_code=1, disk_full=True),
    "shm": Facts(exit_code=1, shm_full=True),
    "ecc": Facts(exit_code=1, ecc=True),
    "lost": Facts(exit_code=1, device_lost=True),
    "restart": Facts(exit_code=1, container_restarted=True),
}


@pytest.mark.parametrize("fact", FACTS)
@pytest.mark.parametrize(
    "log",
    [
        (LISTED, NOT_FOUND),
        ("train.py: error: unrecognized arguments: --warmup 100",),
        ("bash: line 3: torchrunn: command not found",),
        ("curl: (22) The requested URL returned error: 404",),
        raised("huggingface_hub.errors.GatedRepoError: 403 Client Error."),
        ("docker: Error response from daemon: manifest for you/image:nope not found: manifest unknown.",),
    ],
)
def test_what_was_asked_for_wrongly_comes_of_no_fault_of_the_machine(fact: str, log: tuple[str, ...]) -> None:
    assert judged(*log, facts=FACTS[fact]).blame in (Blame.CODE, Blame.CONFIG)


@pytest.mark.parametrize("fact", FACTS)
@pytest.mark.parametrize("log", [("step 3 loss 2.1",), ("make: *** [Makefile:4: train] Error 1",)])
def test_an_ending_of_which_nothing_is_said_is_the_facts(fact: str, log: tuple[str, ...]) -> None:
    assert judged(*log, facts=FACTS[fact]).blame is Blame.MACHINE


@pytest.mark.parametrize(
    ("fact", "log", "blame"),
    [
        ("clock", ("error: the lease expired 93000 s ago",), Blame.MACHINE),
        ("clock", ("error: 3 rewards are missing",), Blame.UNSURE),
        ("clock", raised("TimeoutError: nothing came"), Blame.MACHINE),
        ("clock", raised("FloatingPointError: loss is nan"), Blame.CODE),
        ("clock", raised("AssertionError: reward 0.31, wanted 0.35"), Blame.CODE),
        ("clock", raised("AssertionError: it took 93000 s, at most 60"), Blame.UNSURE),
        ("clock", (NO_INDEX,), Blame.UNSURE),
        ("disk", ("error: could not save the checkpoint",), Blame.MACHINE),
        ("disk", raised("json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)"), Blame.UNSURE),
        ("disk", raised("ValueError: cannot read the file rewards.json"), Blame.UNSURE),
        ("disk", ("csrc/norm.cu(31): error: identifier x is undefined",), Blame.CODE),
        ("disk", raised("safetensors_rust.SafetensorError: deserializing header: x"), Blame.MACHINE),
        ("ecc", raised("RuntimeError: CUDA error: an illegal memory access was encountered"), Blame.MACHINE),
        ("ecc", raised("FloatingPointError: loss is nan"), Blame.UNSURE),
        ("ecc", raised("AssertionError: reward 0.31, wanted 0.35"), Blame.UNSURE),
        ("ecc", raised("ModuleNotFoundError: No module named 'rewards'"), Blame.CODE),
        ("restart", ("error: connection to the store was lost",), Blame.MACHINE),
        ("restart", raised("RuntimeError: expected 3 rewards, got 2"), Blame.UNSURE),
        ("restart", ("slurmstepd: error: Detected 1 oom_kill event in StepId=4711.0.",), Blame.UNSURE),
    ],
)
def test_a_fact_decides_where_the_program_speaks_of_what_it_is_about(
    fact: str, log: tuple[str, ...], blame: Blame
) -> None:
    diagnosis = judged(*log, facts=FACTS[fact])
    assert diagnosis.blame is blame, diagnosis


def test_how_a_signal_or_a_limit_ended_it_is_the_facts_whatever_was_said_before() -> None:
    said = "error: 3 rewards are missing"
    for fact in (Facts(signal=9, clock_jumped=True), Facts(timed_out=True, clock_jumped=True)):
        assert judged(said, facts=fact).blame is Blame.MACHINE


def test_both_readings_are_said_where_a_fact_may_explain_it() -> None:
    diagnosis = judged("error: 3 rewards are missing", facts=FACTS["clock"])
    assert diagnosis.evidence == "error: 3 rewards are missing" and diagnosis.line == 1
    assert "two readings stand" in diagnosis.sentence and "the host's clock jumped" in diagnosis.sentence
