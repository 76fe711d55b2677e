"""``assert_close``: tensors, gradient norms and metrics against what they should be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from trainci.errors import UsageError
from trainci.testing.differences import Difference, told

# Elements that are compared at once: a tensor may be larger than what is left of the memory in float64.
_CHUNK = 1 << 22
_SHOWN_CHARACTERS = 40


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: float = 0.0,
    atol: float = 0.0,
    equal_nan: bool = False,
    name: str = "value",
) -> None:
    """Assert that every number of ``actual`` is within ``atol + rtol * |expected|`` of its counterpart.

    Both are numbers, torch tensors, numpy arrays, or dicts, lists and tuples of such, however deep; anything else
    in them must be equal. No tolerance means equal values (as for log-probabilities that are to be bit-identical).
    Tensors of different dtypes or shapes differ whatever their values. NaN differs from everything, and from NaN
    unless ``equal_nan``. A DTensor is gathered first, so that all of its ranks must make the call. ``name`` is
    what the message calls the whole.

    :raises AssertionError: something differs; its message holds a table of where and by how much.
    :raises UsageError: a tolerance that is negative or no number.
    """
    found = differences(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, name=name)
    if found:
        raise AssertionError(told(found, f"{name} differs", rtol, atol))


def differences(
    actual: Any, expected: Any, *, rtol: float, atol: float, equal_nan: bool, name: str
) -> list[Difference]:
    """What ``assert_close`` objects to, in the order of ``expected``; arguments and errors are the same."""
    for word, tolerance in (("rtol", rtol), ("atol", atol)):
        if not 0 <= tolerance < math.inf:
            raise UsageError(f"assert_close: {word}={tolerance!r}; a tolerance is a finite number from 0 on")
    return list(_Comparison(rtol, atol, equal_nan).walk(name, actual, expected))


class _Comparison:
    def __init__(self, rtol: float, atol: float, equal_nan: bool) -> None:
        self._rtol = rtol
        self._atol = atol
        self._equal_nan = equal_nan

    def walk(self, where: str, actual: Any, expected: Any) -> Iterator[Difference]:
        if _is_array(actual) and _is_array(expected):
            yield from self._arrays(where, actual, expected)
            return
        actual, expected = _plain(actual), _plain(expected)
        if isinstance(expected, Mapping) and isinstance(actual, Mapping):
            yield from self._mappings(where, actual, expected)
        elif isinstance(expected, (list, tuple)) and isinstance(actual, (list, tuple)):
            if len(actual) != len(expected):
                yield Difference(where, f"{len(actual)} items", f"{len(expected)} items", note="length")
            for index, (one, other) in enumerate(zip(actual, expected, strict=False)):
                yield from self.walk(f"{where}[{index}]", one, other)
        elif _is_number(actual) and _is_number(expected):
            if not self._close(actual, expected):
                yield _numbers(where, actual, expected)
        elif type(actual) is not type(expected) or actual != expected:
            yield Difference(where, _shown(actual), _shown(expected), note="not equal")

    def _mappings(self, where: str, actual: Mapping[Any, Any], expected: Mapping[Any, Any]) -> Iterator[Difference]:
        for key in [*expected, *(key for key in actual if key not in expected)]:
            place = f"{where}.{key}"
            if key not in actual:
                yield Difference(place, "(missing)", _shown(expected[key]))
            elif key not in expected:
                yield Difference(place, _shown(actual[key]), "(missing)")
            else:
                yield from self.walk(place, actual[key], expected[key])

    def _close(self, actual: complex, expected: complex) -> bool:
        if actual == expected or (self._equal_nan and actual != actual and expected != expected):
            return True
        gap = abs(actual - expected)
        # An infinite expectation would allow any gap.
        return gap < math.inf and gap <= self._atol + self._rtol * abs(expected)

    def _arrays(self, where: str, actual: Any, expected: Any) -> Iterator[Difference]:
        actual, expected = _gathered(actual), _gathered(expected)
        shapes = tuple(actual.shape), tuple(expected.shape)
        if _dtype(actual) != _dtype(expected) or shapes[0] != shapes[1]:
            fault = "shape" if shapes[0] != shapes[1] else "dtype"
            yield Difference(where, _shown(actual), _shown(expected), note=fault)
            return
        count, worst = self._differing(actual.reshape(-1), expected.reshape(-1))
        if worst is not None:
            index, one, other = worst
            place = f"{where}{_unravelled(index, shapes[0])}"
            size = math.prod(shapes[0])
            yield _numbers(place, one, other, f"{count} of {size} elements" if shapes[0] else "")

    def _differing(self, actual: Any, expected: Any) -> tuple[int, tuple[int, Any, Any] | None]:
        """How many elements of two flat arrays differ, and the one that does by the most: index, both values."""
        import numpy as np

        count, furthest, worst = 0, -1.0, None
        for start in range(0, actual.shape[0], _CHUNK):
            one, other = (_wide(array[start : start + _CHUNK]) for array in (actual, expected))
            with np.errstate(all="ignore"):
                gap = abs(one - other)
                close = (one == other) | ((gap <= self._atol + self._rtol * abs(other)) & (gap < math.inf))
            if self._equal_nan:
                close |= (one != one) & (other != other)
            differing = np.flatnonzero(~close)
            if differing.size == 0:
                continue
            count += int(differing.size)
            gaps = np.nan_to_num(gap[differing].astype("float64"), nan=math.inf, posinf=math.inf)
            at = int(gaps.argmax())
            if gaps[at] > furthest:
                furthest = float(gaps[at])
                index = int(differing[at])
                worst = (start + index, one[index].item(), other[index].item())
        return count, worst


def _is_array(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "shape") and hasattr(value, "reshape")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, complex)) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """An array of one element beside a plain number is a number itself."""
    return value.item() if _is_array(value) and not tuple(value.shape) else value


def _gathered(array: Any) -> Any:
    return array.full_tensor() if hasattr(array, "full_tensor") else array


def _dtype(array: Any) -> str:
    return str(array.dtype).removeprefix("torch.")


def _wide(flat: Any) -> Any:
    """A numpy array of the widest type of the same kind, whatever the library, device and precision."""
    kind = _dtype(flat)
    wide = "complex128" if "complex" in kind else "int64" if "int" in kind or "bool" in kind else "float64"
    if hasattr(flat, "detach"):
        # bfloat16 and float8 are unknown to numpy, so torch widens them.
        flat = flat.detach().cpu()
        flat = flat.resolve_conj() if wide == "complex128" else flat.long() if wide == "int64" else flat.double()
        flat = flat.numpy()
    return flat.astype(wide)


def _numbers(where: str, actual: Any, expected: Any, note: str = "") -> Difference:
    gap = abs(actual - expected)
    relative = gap / abs(expected) if expected else math.inf
    return Difference(where, _number(actual), _number(expected), f"{gap:.3g}", f"{relative:.3g}", note)


def _number(value: Any) -> str:
    return str(value) if isinstance(value, int) else f"{value:.9g}"


def _unravelled(index: int, shape: tuple[int, ...]) -> str:
    position: list[int] = []
    for size in reversed(shape):
        index, rest = divmod(index, size)
        position.append(rest)
    return str(position[::-1]) if position else ""


def _shown(value: Any) -> str:
    if _is_array(value):
        return f"{_dtype(value)} {list(value.shape)}"
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
