"""compare_checkpoints on what the libraries themselves write."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from trainci.errors import UsageError
from trainci.testing import assert_checkpoints_equal, compare_checkpoints

STATE = {
    "w": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "b": torch.ones(4, dtype=torch.bfloat16),
    "steps": torch.tensor(7),
}
Save = Callable[[dict[str, Any], Path], None]


def safetensors(state: dict[str, Any], directory: Path) -> None:
    directory.mkdir(parents=True)
    save_file(state, directory / "model.safetensors")


def torch_saved(state: dict[str, Any], directory: Path) -> None:
    directory.mkdir(parents=True)
    torch.save(state, directory / "model.pt")


def torch_saved_long_ago(state: dict[str, Any], directory: Path) -> None:
    directory.mkdir(parents=True)
    torch.save(state, directory / "model.pt", _use_new_zipfile_serialization=False)


def distributed(state: dict[str, Any], directory: Path) -> None:
    # Here, because it takes a second to import, in each process that collects this file.
    from torch.distributed import checkpoint

    checkpoint.save(dict(state), checkpoint_id=directory, no_dist=True)


every_format = pytest.mark.parametrize(
    "save", [safetensors, torch_saved, torch_saved_long_ago, pytest.param(distributed, marks=pytest.mark.slow)]
)


def changed(name: str, index: tuple[int, ...], value: float) -> dict[str, Any]:
    tensor = STATE[name].clone()
    tensor[index] = value
    return {**STATE, name: tensor}


@every_format
def test_the_same_state_twice_is_equal(tmp_path: Path, save: Save) -> None:
    state = {**STATE, "nan": torch.tensor([math.nan])}
    for name in ("a", "b"):
        save(state, tmp_path / name)
    assert compare_checkpoints(tmp_path / "a", tmp_path / "b") == []
    assert_checkpoints_equal(tmp_path / "a", tmp_path / "b")


@every_format
@pytest.mark.parametrize(
    ("state", "told"),
    [
        (changed("w", (2, 1), 9.5), ["w[2, 1]", "9.5", "9", "0.5", "0.0556", "1 of 12 elements"]),
        ({**STATE, "w": STATE["w"].double()}, ["w", "float64 [3, 4]", "float32 [3, 4]", "dtype"]),
        ({**STATE, "w": STATE["w"][:2].clone()}, ["w", "float32 [2, 4]", "float32 [3, 4]", "shape"]),
        ({**STATE, "steps": torch.tensor(8)}, ["steps", "8", "7", "1"]),
        ({"w": STATE["w"], "b": STATE["b"]}, ["steps", "(missing)", "(there)"]),
        ({**STATE, "momentum": torch.ones(1)}, ["momentum", "(there)", "(missing)"]),
    ],
)
def test_a_name_a_shape_a_dtype_or_a_value_that_differs_is_in_the_table(
    tmp_path: Path, save: Save, state: dict[str, Any], told: list[str]
) -> None:
    save(state, tmp_path / "a")
    save(STATE, tmp_path / "b")
    with pytest.raises(AssertionError) as failure:
        assert_checkpoints_equal(tmp_path / "a", tmp_path / "b")
    first, _, row, *rest = str(failure.value).splitlines()
    assert "differs from" in first
    assert rest == []
    for words in told:
        assert words in row


@every_format
def test_a_tolerance_is_honoured(tmp_path: Path, save: Save) -> None:
    save(changed("w", (2, 1), 9.5), tmp_path / "a")
    save(STATE, tmp_path / "b")
    assert compare_checkpoints(tmp_path / "a", tmp_path / "b", atol=0.5) == []
    assert compare_checkpoints(tmp_path / "a", tmp_path / "b", rtol=0.01)


def test_how_the_weights_are_cut_into_files_makes_no_difference(tmp_path: Path) -> None:
    safetensors(STATE, tmp_path / "whole")
    (tmp_path / "cut").mkdir()
    for number, name in enumerate(STATE):
        save_file({name: STATE[name]}, tmp_path / "cut" / f"model-{number}.safetensors")
    distributed(STATE, tmp_path / "dcp")
    assert compare_checkpoints(tmp_path / "cut", tmp_path / "whole") == []
    assert compare_checkpoints(tmp_path / "dcp", tmp_path / "whole") == []


def test_every_part_of_a_training_checkpoint_is_compared(tmp_path: Path) -> None:
    """Weights, an optimizer of torch.distributed.checkpoint with plain values in it, and a nested file."""
    for name, rate in (("a", 0.1), ("b", 0.2)):
        safetensors(STATE, tmp_path / name / "weights")
        distributed({"optimizer": {"state": [STATE["w"]], "lr": rate}}, tmp_path / name / "optimizer")
        torch.save({"rng": [torch.get_rng_state() * 0], "scheduler": {"lr": rate}}, tmp_path / name / "extra.pt")
    rows = {(row.where, row.actual, row.expected) for row in compare_checkpoints(tmp_path / "a", tmp_path / "b")}
    assert rows == {("optimizer/optimizer.lr", "0.1", "0.2"), ("extra.pt:scheduler.lr", "0.1", "0.2")}


def test_two_files_are_compared_like_directories(tmp_path: Path) -> None:
    for name, state in (("a.safetensors", STATE), ("b.safetensors", changed("w", (0, 0), 1.0))):
        save_file(state, tmp_path / name)
    assert [row.where for row in compare_checkpoints(tmp_path / "a.safetensors", tmp_path / "b.safetensors")] == [
        "w[0, 0]"
    ]


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: None])
def test_nothing_to_compare_is_never_equal(tmp_path: Path, make: Callable[[Path], object]) -> None:
    for name in ("a", "b"):
        make(tmp_path / name)
    with pytest.raises(UsageError, match="there is no checkpoint here"):
        compare_checkpoints(tmp_path / "a", tmp_path / "b")


def test_a_checkpoint_that_was_cut_off_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        safetensors(STATE, tmp_path / name)
    file = tmp_path / "a" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(UsageError, match=r"a/model\.safetensors: cannot be read"):
        compare_checkpoints(tmp_path / "a", tmp_path / "b")


def test_no_code_of_a_checkpoint_is_run(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(tmp_path / "harm"), "w"))

    torch_saved({"x": Harmful()}, tmp_path / "a")
    torch_saved({"args": argparse.Namespace(lr=0.1)}, tmp_path / "b")
    for name in ("a", "b"):
        with pytest.raises(UsageError, match="add_safe_globals"):
            compare_checkpoints(tmp_path / name, tmp_path / name)
    assert not (tmp_path / "harm").exists()
    with torch.serialization.safe_globals([argparse.Namespace]):
        assert compare_checkpoints(tmp_path / "b", tmp_path / "b") == []
