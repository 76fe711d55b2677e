"""tracking_args: on with a key, off without, and the key nowhere to be seen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trainci.errors import UsageError
from trainci.testing import CommandError, exec_command, execute_train, tracking_args

KEY = "0123456789abcdef-wandb"


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_there_are_no_arguments(monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("WANDB_API_KEY", key)
    assert tracking_args("ci") == []


def test_with_a_key_the_run_is_filed_under_its_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("TRAINCI_TEST_ID", "tests/test_ckpt.py[--async-save]")
    expected = ["--use-wandb", "--wandb-project", "ci", "--wandb-group", "tests/test_ckpt.py[--async-save]"]
    assert tracking_args("ci") == expected
    assert tracking_args("ci", group="mine")[-1] == "mine"


def test_outside_trainci_it_is_filed_under_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.delenv("TRAINCI_TEST_ID", raising=False)
    file = tmp_path / "test_moe.py"
    file.write_text("from trainci.testing import tracking_args; print(tracking_args('ci')[-1])")
    assert exec_command([sys.executable, str(file)]) == "test_moe\n"


def test_a_project_without_a_name_is_refused() -> None:
    with pytest.raises(UsageError, match="project"):
        tracking_args("")


def test_the_key_reaches_the_command_and_is_never_shown(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A trainer that prints its whole environment, and then fails."""
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    program = (
        "import os; print('len', len(os.environ['WANDB_API_KEY'])); print(dict(os.environ)); raise SystemExit(1)"
    )
    with pytest.raises(CommandError) as failure:
        exec_command([sys.executable, "-c", program, *tracking_args("ci")])
    shown = capfd.readouterr()
    assert f"len {len(KEY)}" in shown.out
    assert "'WANDB_API_KEY': '***'" in shown.out
    assert KEY not in shown.out + shown.err + str(failure.value) + failure.value.output


def test_a_key_that_only_the_command_is_given_is_not_shown_either(capfd: pytest.CaptureFixture[str]) -> None:
    printed = exec_command("echo $WANDB_API_KEY $HF_TOKEN", env={"WANDB_API_KEY": KEY, "HF_TOKEN": "hf_secret"})
    assert printed == "*** ***\n"
    assert capfd.readouterr().out.endswith(printed)


@pytest.mark.slow
def test_a_rank_that_prints_the_key_shows_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.delenv("TRAINCI_DEVICES", raising=False)
    (tmp_path / "train.py").write_text("import os; raise RuntimeError('key ' + os.environ['WANDB_API_KEY'])")
    with pytest.raises(CommandError) as failure:
        execute_train(tmp_path / "train.py", tracking_args("ci"), num_gpus_per_node=1)
    shown = capfd.readouterr()
    assert "RuntimeError: key ***" in str(failure.value)
    assert KEY not in shown.out + shown.err + str(failure.value)
