"""The reports of a lease, as an executor reads them."""

from __future__ import annotations

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given

from trainci.lease.protocol import Ended, Granted, Started, Waiting, dump, load

# Whatever a device or a sentence holds, lone surrogates of undecodable bytes among it.
TEXT = st.text(st.characters(), max_size=20)
REPORTS = st.one_of(
    st.builds(Waiting, st.integers()),
    st.builds(Granted, st.lists(TEXT).map(tuple), st.lists(st.integers()).map(tuple), st.integers()),
    st.builds(Started, st.integers()),
    st.builds(Ended, st.none() | st.integers(), st.none() | st.integers(), st.booleans(), st.booleans(), TEXT),
)


@given(REPORTS)
def test_a_report_is_one_line_of_json_that_reads_back_as_written(report):
    line = dump(report)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert json.loads(line)["event"] == type(report).__name__.lower()
    assert load(line) == report


@given(st.text('a "quoted" \\ \n é 🙂 \x00\ud800'))
def test_text_of_any_kind_is_reported_as_it_is(sentence):
    assert json.loads(dump(Ended(lost=sentence)))["lost"] == sentence


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"no json",
        b"[]",
        b"3",
        b"{}",
        b'{"event": "other"}',
        b'{"event": []}',
        b'{"event": "started"}',
        b'{"event": "started", "pid": 1, "more": 2}',
    ],
)
def test_a_line_that_is_no_report_is_refused(line):
    with pytest.raises(ValueError):
        load(line)
