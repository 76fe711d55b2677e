"""assert_close: what is equal, what is not, and how it is told."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainci.errors import UsageError
from trainci.testing import assert_close, numerics


def told(actual: Any, expected: Any, **options: Any) -> list[str]:
    """The lines of the failure; none when there is none."""
    try:
        assert_close(actual, expected, **options)
    except AssertionError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (1.0, 1),
        ({"loss": 0.5, "tokens": [1, 2]}, {"tokens": [1, 2], "loss": 0.5}),
        ((1.0, [2.0]), [1.0, (2.0,)]),
        (np.float32(0.5), 0.5),
        (torch.tensor(0.5), 0.5),
        (torch.tensor([1.0, -0.0]), torch.tensor([1.0, 0.0])),
        (math.inf, math.inf),
        (np.array([math.inf, -math.inf]), np.array([math.inf, -math.inf])),
        (torch.tensor([True, False]), torch.tensor([True, False])),
        (torch.tensor([1, 2**60 + 1]), torch.tensor([1, 2**60 + 1])),
        (torch.ones(0, 4), torch.ones(0, 4)),
        (torch.ones(3, requires_grad=True), np.ones(3, dtype="float32")),
        (torch.tensor([1 + 2j]), torch.tensor([1 + 2j])),
        ("adam", "adam"),
        (None, None),
        ({}, {}),
    ],
)
def test_equal_without_a_tolerance(actual: Any, expected: Any) -> None:
    assert told(actual, expected) == []


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (1.0, math.nextafter(1.0, 2.0)),
        (math.nan, math.nan),
        (math.nan, 1.0),
        (5.0, math.inf),
        (-math.inf, math.inf),
        (True, 1),
        (1, "1"),
        (None, 0.0),
        ({"a": 1}, [1]),
        ([1], [1, 2]),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1, "b": 2}, {"a": 1}),
        (torch.tensor([1.0, math.nan]), torch.tensor([1.0, math.nan])),
        (np.array([5.0]), np.array([math.inf])),
        (torch.ones(2), torch.ones(2, dtype=torch.bfloat16)),
        (torch.ones(2, 3), torch.ones(3, 2)),
        (torch.ones(1), 1.0),
        (torch.tensor([2**60 + 1]), torch.tensor([2**60])),
        (torch.tensor([True]), torch.tensor([False])),
        (torch.tensor([1 + 2j]), torch.tensor([1 + 3j])),
        ({"deep": [{"er": torch.tensor([1.0])}]}, {"deep": [{"er": torch.tensor([1.5])}]}),
    ],
)
def test_different_without_a_tolerance(actual: Any, expected: Any) -> None:
    assert told(actual, expected)
    assert told(expected, actual)


@pytest.mark.parametrize("kind", [float, np.array, torch.tensor, lambda number: [number]])
def test_a_tolerance_is_atol_plus_rtol_times_what_is_expected(kind: Any) -> None:
    assert told(kind(101.0), kind(100.0), rtol=0.01) == []
    assert told(kind(101.5), kind(100.0), rtol=0.01, atol=0.5) == []
    assert told(kind(101.6), kind(100.0), rtol=0.01, atol=0.5)
    assert told(kind(0.1), kind(0.0), rtol=0.5), "nothing is near zero but by atol"
    assert told(kind(5.0), kind(math.inf), rtol=0.5, atol=1.0)
    assert told(kind(math.nan), kind(math.nan), rtol=0.5, atol=1.0)
    assert told(kind(math.nan), kind(math.nan), equal_nan=True) == []
    assert told(kind(math.nan), kind(1.0), equal_nan=True)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn", "float32", "float64"])
def test_every_precision_is_compared_as_what_it_is(dtype: str) -> None:
    ones = torch.ones(4, 4).to(getattr(torch, dtype))
    other = torch.ones(4, 4)
    other[2, 1] = 1.5
    (_, _, row) = told({"w": ones}, {"w": other.to(ones.dtype)}, name="grads")
    assert row.split() == ["grads.w[2,", "1]", "1", "1.5", "0.5", "0.333", "1", "of", "16", "elements"]


def test_the_table_says_where_what_and_by_how_much() -> None:
    actual = {"grad_norm": 2.5, "layers": [torch.zeros(2, 2), torch.ones(3)], "step": 7, "extra": 1}
    expected = {"grad_norm": 2.0, "layers": [torch.zeros(2, 2), torch.ones(4)], "step": 7, "gone": "x"}
    assert told(actual, expected, rtol=0.1, name="metrics") == [
        "metrics differs in 4 places (rtol=0.1, atol=0):",
        "  where              actual       expected     abs  rel",
        "  metrics.grad_norm  2.5          2            0.5  0.25",
        "  metrics.layers[1]  float32 [3]  float32 [4]             shape",
        "  metrics.gone       (missing)    'x'",
        "  metrics.extra      1            (missing)",
    ]


def test_of_a_tensor_the_element_that_is_furthest_off_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numerics, "_CHUNK", 7)  # as of a large tensor, the ends of which are not compared together
    expected = torch.zeros(5, 6)
    actual = expected.clone()
    actual[0, 0], actual[3, 2], actual[4, 5] = 1.0, -9.0, 2.0
    (_, _, row) = told(actual, expected)
    assert row.split()[:3] == ["value[3,", "2]", "-9"]
    assert row.endswith("3 of 30 elements")
    actual[1, 1] = math.nan
    (_, _, row) = told(actual, expected)
    assert row.split()[:3] == ["value[1,", "1]", "nan"]


def test_a_long_table_is_cut_and_says_so() -> None:
    lines = told(list(range(100)), [-1] * 100)
    assert lines[0].startswith("value differs in 100 places")
    assert len(lines) == 23
    assert lines[-1] == "  … and 80 more"


@pytest.mark.parametrize("tolerance", [-1.0, math.nan, math.inf])
def test_a_tolerance_that_would_hide_everything_is_refused(tolerance: float) -> None:
    for name in ("rtol", "atol"):
        with pytest.raises(UsageError, match=f"{name}="):
            assert_close(1.0, 1.0, **{name: tolerance})


@given(
    st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), min_size=1, max_size=20),
    st.sampled_from([0.0, 1e-3, 2.0]),
    st.sampled_from([0.0, 1e-3, 2.0]),
    st.booleans(),
)
def test_tensors_arrays_and_numbers_agree_with_each_other_and_with_numpy(
    pairs: list[tuple[float, float]], rtol: float, atol: float, equal_nan: bool
) -> None:
    actual, expected = zip(*pairs, strict=True)
    options = {"rtol": rtol, "atol": atol, "equal_nan": equal_nan}
    close = bool(np.isclose(np.array(actual), np.array(expected), **options).all())
    for kind in (list, np.array, lambda values: torch.tensor(values, dtype=torch.float64)):
        assert (told(kind(actual), kind(expected), **options) == []) is close
