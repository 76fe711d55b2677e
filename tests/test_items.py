"""What pytest says of its items is read from a file that the repository's own code wrote."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.items import LONGEST_NAME, BrokenResults, Item, counts, read_junit


def report(directory: Path, text: str, *arguments: str) -> bytes:
    """What pytest itself writes of a file with this text."""
    (directory / "test_x.py").write_text(textwrap.dedent(text))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--junitxml=r.xml",
        *arguments,
    ]
    subprocess.run(command, cwd=directory, capture_output=True)
    return (directory / "r.xml").read_bytes()


def items_of(data):
    return read_junit(data).items


def test_each_item_has_its_outcome_and_its_reason(tmp_path):
    items = items_of(
        report(
            tmp_path,
            """
            import pytest

            @pytest.fixture
            def broken():
                raise OSError("no disk")

            @pytest.fixture
            def breaks_later():
                yield
                raise OSError("no teardown")

            def test_good(): pass
            def test_bad(): assert 1 == 2, "one is not two"
            def test_fixture(broken): pass
            def test_teardown(breaks_later): pass
            @pytest.mark.skip(reason="not here")
            def test_skipped(): pass
            @pytest.mark.xfail
            def test_expected(): assert False
            @pytest.mark.parametrize("n", [1, 2])
            def test_many(n): assert n == 1
            class TestGroup:
                def test_inside(self): pass
            """,
        )
    )
    found = {item.name.rpartition("::")[2]: item for item in items}
    outcomes = {name: item.outcome for name, item in found.items()}
    assert outcomes == {
        "test_good": "passed",
        "test_bad": "failed",
        "test_fixture": "error",
        "test_teardown": "error",
        "test_skipped": "skipped",
        "test_expected": "skipped",
        "test_many[1]": "passed",
        "test_many[2]": "failed",
        "test_inside": "passed",
    }
    assert "one is not two" in found["test_bad"].message
    assert "not here" in found["test_skipped"].message
    assert counts(items) == {"passed": 3, "skipped": 2, "failed": 2, "error": 2}


def test_an_error_of_the_collection_is_an_item(tmp_path):
    (item,) = items_of(report(tmp_path, "import nothing_of_that_name\n"))
    assert item.outcome == "error"
    reason, *trace = item.message.splitlines()
    assert reason == "collection failure"
    assert "nothing_of_that_name" in "\n".join(trace)


def test_nothing_collected_is_no_item(tmp_path):
    assert items_of(report(tmp_path, "x = 1\n")) == ()


LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<testsuites><testsuite><testcase name="&b;"/></testsuite></testsuites>"""
FILE = b"""<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<testsuites><testsuite><testcase name="&a;"/></testsuite></testsuites>"""


@pytest.mark.parametrize("data", [b"", b"no xml", b"<testsuites>", b"<html/>", LAUGHS, FILE, b"\xff\xfe\x00"])
def test_what_is_no_report_is_told_and_never_obeyed(data):
    with pytest.raises(BrokenResults):
        items_of(data)


def test_names_stay_on_one_line():
    (item,) = items_of(b'<testsuite><testcase name="a&#10;::error::b" time="-1"/></testsuite>')
    assert item == Item("a\\n::error::b", "passed")


@given(st.binary(max_size=300))
def test_any_bytes_are_items_or_broken(data):
    try:
        items_of(b"<testsuite>" + data + b"</testsuite>")
    except BrokenResults:
        return


def test_the_same_name_in_two_files_is_two_items(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
        (tmp_path / folder / "test_y.py").write_text(f"def test_it(): assert {folder == 'a'}")
    items = items_of(report(tmp_path, "def test_it(): pass"))
    assert counts(items) == {"passed": 2, "failed": 1}


@pytest.mark.parametrize("encoding", ["bogus-9", "utf-7", "hex", "shift_jis", "idna", "undefined"])
def test_an_encoding_that_no_parser_takes_is_told(encoding):
    with pytest.raises(BrokenResults, match="no XML"):
        read_junit(f'<?xml version="1.0" encoding="{encoding}"?><testsuite/>'.encode())


def test_a_name_is_not_longer_than_a_table_can_be():
    data = f'<testsuite><testcase classname="{"a." * 100_000}" name="b"/></testsuite>'.encode()
    (item,) = read_junit(data).items
    assert len(item.name) == LONGEST_NAME + 1 and item.name.endswith("…")
