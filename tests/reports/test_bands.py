"""The values of a metric with their bands, drawn."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trainci.model.gates import Band, Judgement, Standing, Trusted
from trainci.reports.bands import of_judgement, of_series
from trainci.verdict.baselines import Point, Series

BAND, WIDE = Band(2.2, 2.8), Band(2.0, 3.0)
POINTS = (
    Point("r3", "c3", 3.0, 3.5, False),
    Point("r2", "c2", 2.0, 2.5, False),
    Point("r1", "c1", 1.0, 2.4, True),
)


def shapes(drawing: str) -> list[tuple[str, float, float]]:
    """Each band and value, with its top and its bottom (of a value: its place, twice)."""
    found = []
    for one in ElementTree.fromstring(drawing):
        if one.tag == "rect":
            top = float(one.attrib["y"])
            found.append((one.attrib["class"], top, top + float(one.attrib["height"])))
        elif one.tag == "circle":
            found.append((one.attrib["class"], float(one.attrib["cy"]), float(one.attrib["cy"])))
    return found


def test_the_oldest_value_is_at_the_left_and_each_stands_where_it_is_against_the_bands() -> None:
    drawn = of_series(Series("loss", "H100", "train:1", POINTS, Trusted((2.4,) * 8, BAND, WIDE)))
    assert drawn.metric == "loss on H100, train:1" and drawn.said == "expected: 2.2 to 2.8 (8 trusted runs)"
    wide, band, oldest, fine, out = shapes(drawn.drawing)
    assert (wide[0], band[0], oldest[0], fine[0], out[0]) == ("wide", "band", "in", "other", "out")
    assert wide[1] < band[1] < fine[1] < oldest[1] < band[2] < wide[2], "a larger value stands higher"
    assert out[1] < wide[1]
    lefts = [float(one.attrib["cx"]) for one in ElementTree.fromstring(drawn.drawing).iter("circle")]
    assert lefts == sorted(lefts)


def test_without_a_band_the_values_are_drawn_and_it_is_said_why() -> None:
    drawn = of_series(Series("loss", "", "", POINTS, Trusted((2.4,))))
    assert drawn.metric == "loss" and drawn.said == "1 trusted run: too few for a band"
    assert [kind for kind, *_ in shapes(drawn.drawing)] == ["in", "other", "other"]


def test_what_a_run_was_held_to_is_drawn_with_its_repeated_runs() -> None:
    drawn = of_judgement(Judgement("loss", Standing.MOVED, "it left", (3.4, 2.5), band=BAND, wide=WIDE))
    assert drawn.said == "it left" and [kind for kind, *_ in shapes(drawn.drawing)] == ["wide", "band", "out", "in"]


@pytest.mark.parametrize("values", [(), (math.nan,), (1e308, -1e308), (math.inf,)])
def test_what_cannot_be_drawn_is_not(values: tuple[float, ...]) -> None:
    assert of_judgement(Judgement("loss", Standing.WITHIN, "", values)).drawing == ""


@example([1.0, 2.0], (0.0, 1.0), "<b>\"&'\u202e")
@given(
    st.lists(st.floats(), max_size=5),
    st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False)),
    st.text(max_size=20),
)
def test_whatever_the_values_and_the_name_the_drawing_is_whole_and_within_its_frame(
    values: list[float], edges: tuple[float, float], name: str
) -> None:
    band = Band(min(edges), max(edges))
    drawing = of_judgement(Judgement(name, Standing.WITHIN, "", tuple(values), band=band, wide=band)).drawing
    if drawing:
        assert "\u202e" not in drawing
        assert all(0 <= top <= bottom <= 120 for _, top, bottom in shapes(drawing))
        assert drawing.count("<circle") == sum(map(math.isfinite, values))
