"""Words for people."""

from __future__ import annotations

from trainci.model.device import Device, Pool
from trainci.text import columns, nothing_known, width


def test_columns_stand_below_each_other_whatever_script_a_cell_has() -> None:
    rows = [("a", "1"), ("日本語", "2"), ("🚀", "3"), ("cafe\u0301", "4"), ("عربي", "5")]
    for line, (cell, number) in zip(columns(rows), rows, strict=True):
        assert width(line.removesuffix(number)) == 8 and line.startswith(cell)
    assert columns([("日", "1"), ("abc", "10")], right=[True, True]) == [" 日   1", "abc  10"]


def test_one_device_is_one() -> None:
    device = Device(0, "cpu-0", "virtual", virtual=True)
    assert Pool((device,), virtual=True).sentence == "1 virtual device, no GPU"
    assert Pool((device,) * 2, virtual=True).sentence == "2 virtual devices, no GPU"


def test_a_test_that_has_no_past_yet_is_not_guessed_to_be_itself() -> None:
    known = ["tests/test_a.py", "tests/test_b.py"]
    assert nothing_known("tests/test_a.py", known) == "trainci: nothing is known of tests/test_a.py yet."
    assert "Did you mean tests/test_a.py" in nothing_known("tests/test_aa.py", known)
