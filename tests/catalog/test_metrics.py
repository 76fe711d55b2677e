"""METRICS of a test file, and ``metrics`` of trainci.toml: one language, read and never run."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci import config
from trainci.catalog.declarations import constants, parse
from trainci.catalog.styles import declarations
from trainci.errors import UsageError
from trainci.model.gates import KEYS, Gate, gate_of
from trainci.model.tests import Entry
from trainci.repository import Request, open_repository


def says(text: str):
    return constants(parse(text), "t.py")


@pytest.mark.parametrize(
    ("said", "gate"),
    [
        ('"history"', Gate("loss")),
        ('{"gate": "history", "step": 30}', Gate("loss", 30)),
        ('{"gate": "history", "scale": "log"}', Gate("loss", log=True)),
        ("0.25", Gate("loss", low=0.25, high=0.25)),
        ('{"value": -3}', Gate("loss", low=-3.0, high=-3.0)),
        ('{"value": 2, "absolute": 0.5}', Gate("loss", low=1.5, high=2.5)),
        ('{"value": -4, "relative": 0.25}', Gate("loss", low=-5.0, high=-3.0)),
        ('{"min": 1}', Gate("loss", low=1.0)),
        ('{"max": 2, "step": 0}', Gate("loss", 0, high=2.0)),
    ],
)
def test_a_gate_is_read_without_running_the_file(said, gate):
    assert says(f'raise SystemExit\nMETRICS = {{"loss": {said}}}').metrics == (gate,)


@pytest.mark.parametrize(
    "text",
    [
        'METRICS = ("reward", "loss")',
        "METRICS = {}",
        'METRICS = {"accuracy": compute, "f1": sklearn.f1}',
        "from shared import METRICS",
        "METRICS = load()",
        'METRICS = []\nMETRICS.append("x")',
        'def f():\n    METRICS = {"loss": 1}',
    ],
)
def test_what_only_happens_to_be_called_so_is_none_of_ours(text):
    found = says(text)
    assert (found.metrics, found.fault) == ((), "")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('METRICS = {"loss": "histroy"}', 't.py:1: METRICS is no table of gates: loss is "history", a number, or'),
        ('x = 1\nMETRICS = {"loss": {"mni": 1}}', "t.py:2: METRICS is no table of gates: loss has the unknown key"),
        ('METRICS = {"loss": {}}', "says one of gate"),
        ('METRICS = {"loss": {"gate": "history", "min": 1}}', "says one of gate"),
        ('METRICS = {"loss": {"gate": "mean"}}', 'the gate of loss is "history"'),
        ('METRICS = {"loss": {"min": 1, "scale": "log"}}', "loss has a scale and is not gated by its history"),
        ('METRICS = {"loss": {"gate": "history", "scale": 2}}', 'the scale of loss is "log", or left out'),
        ('METRICS = {"loss": {"min": 1, "relative": 1}}', "loss has relative of no value"),
        ('METRICS = {"loss": {"value": 1, "relative": 1, "absolute": 1}}', "one of absolute and relative"),
        ('METRICS = {"loss": {"value": 1, "absolute": -1}}', "absolute is not negative"),
        ('METRICS = {"loss": {"value": 1e999}}', "value is a finite number"),
        ('METRICS = {"loss": {"value": 1e308, "relative": 9}}', "how far it may be away are finite numbers"),
        ('METRICS = {"loss": {"value": True}}', "value is a number"),
        ('METRICS = {"loss": {"min": 2, "max": 1}}', "loss lets no value pass: 2 is more than 1"),
        ('METRICS = {"loss": {"min": 2, "step": 1.5}}', "the step of loss is a whole number"),
        ('METRICS = {"": 1}', "the name of a metric is a text that can be shown"),
        ("METRICS = {3: 1}", "the name of a metric is a text that can be shown"),
        ('METRICS = {"loss": {"min": LEAST}}', "METRICS must be written out"),
        ('METRICS = {"loss": 1, "x": f()}', "METRICS must be written out"),
        ('METRICS = {"loss": 1, **more}', "METRICS must be written out"),
        ('METRICS = {"loss": 1}\nMETRICS = {"loss": 2}', "is set on several lines (1, 2); keep one"),
        ('METRICS = {"loss": 1}\nMETRICS |= {"x": 2}', "is changed after its declaration"),
        ('METRICS = {"loss": 1}\nif x:\n    METRICS = {}', "is set inside a `if` block"),
    ],
)
def test_a_table_that_says_no_gate_is_refused_with_its_line(text, fault):
    assert fault in says(text).fault


_SAID = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("history")),
    lambda inner: st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=3)), inner, max_size=3),
    max_leaves=4,
)


@given(st.text(max_size=5), _SAID)
def test_whatever_is_said_is_a_gate_or_a_sentence(metric, said):
    try:
        gate = gate_of(metric, said)
    except ValueError as error:
        assert str(error)
        return
    assert gate.metric == metric and (gate.low is None or gate.high is None or gate.low <= gate.high)
    assert all(bound is None or math.isfinite(bound) for bound in (gate.low, gate.high))


def test_a_test_of_several_steps_has_the_metrics_of_each(repository):
    repository.write("a.py", 'METRICS = {"loss": 1}\nif __name__ == "__main__":\n    f()\n')
    repository.write("b.sh", "true\n")
    text = '[suites.s]\ntests = [{ name = "x", steps = ["a.py", "b.sh"], metrics = { reward = "history" } }]\n'
    assert _gates(repository, text) == {"x": (Gate("loss", low=1.0, high=1.0), Gate("reward"))}


def test_project_suite_file_and_entry_add_up_and_the_inner_one_wins(repository):
    repository.write("a.py", 'METRICS = {"loss": 2, "file": 2}\nif __name__ == "__main__":\n    f()\n')
    repository.write("b.sh", "true\n")
    text = """
[project]
metrics = { loss = 0, project = 0 }
[suites.s]
metrics = { loss = 1, suite = 1, file = 1 }
tests = [{ path = "a.py", metrics = { loss = 3, entry = 3 } }, "b.sh"]
"""
    found = _gates(repository, text)
    assert {gate.metric: gate.low for gate in found["a.py"]} == {
        "loss": 3.0, "project": 0.0, "suite": 1.0, "file": 2.0, "entry": 3.0
    }  # fmt: skip
    assert {gate.metric: gate.low for gate in found["b.sh"]} == {
        "loss": 1.0, "project": 0.0, "suite": 1.0, "file": 1.0
    }  # fmt: skip


def test_a_pytest_and_a_torchrun_file_declare_it_too(repository):
    for text in ("def test_a():\n    pass\n", "import torch.distributed\n"):
        repository.write("tests/test_a.py", 'METRICS = {"loss": 1}\n' + text)
        runner = "" if "def" in text else "torchrun"
        assert declarations(repository.root, Entry("tests/test_a.py", runner=runner)).metrics != ()


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ('loss = "histroy"', 'trainci.toml:2: suites.s → metrics → loss → gate: must be "history"'),
        (
            "loss = { mni = 1 }",
            "trainci.toml:2: suites.s → metrics → loss → mni: unknown key; known are gate, scale",
        ),
        ("loss = { min = 2, max = 1 }", "trainci.toml:2: suites.s → metrics: loss lets no value pass"),
        ("loss = {}", "trainci.toml:2: suites.s → metrics: loss says one of gate"),
        ("loss = true", 'trainci.toml:2: suites.s → metrics → loss: must be "history", a number'),
        ("loss = nan", "trainci.toml:2: suites.s → metrics → loss → value: must be a finite number"),
    ],
)
def test_a_fault_of_trainci_toml_has_its_place(repository, said, fault):
    repository.write("trainci.toml", f"[suites.s]\nmetrics = {{ {said} }}\n")
    with pytest.raises(UsageError) as caught:
        config.load(repository.root)
    assert str(caught.value).startswith(fault)


def _gates(repository, text):
    repository.write("trainci.toml", text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repository.root)
        selected = open_repository().select(Request(("s",)))
    assert not selected.refused, selected.refused
    return {item.test.id: item.test.metrics for item in selected.tests}
