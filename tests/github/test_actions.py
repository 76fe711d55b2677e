from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from trainci.github.actions import annotated, annotation, group, in_actions, inert, resume_commands, stop_commands

_HOSTILE = st.one_of(st.text(max_size=30), st.text("\r\n%:,; =error0ADa\u2028\x85", max_size=30))


def _read(line: str) -> tuple[str, dict[str, str], str]:
    """A line as the runner reads it (ActionCommand.TryParseV2 of actions/runner)."""
    found = re.fullmatch(r"::(\S+?)(?: (.*?))?::(.*)", line, re.DOTALL)
    assert found
    command, properties, data = found.groups()
    pairs = [pair.split("=", 1) for pair in properties.split(",")] if properties else []
    return command, {name: _unescape(value, "%2C,", "%3A:") for name, value in pairs}, _unescape(data)


def _unescape(text: str, *more: str) -> str:
    for pair in (*more, "%0A\n", "%0D\r", "%25%"):
        text = text.replace(pair[:3], pair[3:])
    return text


@given(_HOSTILE, _HOSTILE, st.integers(0, 10**6), _HOSTILE)
def test_nothing_breaks_out_of_an_annotation_and_the_runner_reads_it_back(
    message: str, file: str, line: int, title: str
) -> None:
    text = annotation(message, file, line, title)
    assert "\n" not in text and "\r" not in text
    expected = {"file": file, "line": str(line or ""), "title": title}
    assert _read(text) == ("error", {name: value for name, value in expected.items() if value}, message)


@given(_HOSTILE)
def test_nothing_breaks_out_of_a_group(title: str) -> None:
    text = group(title)
    assert text.startswith("::group::") and text.isprintable()


def test_an_annotation_without_a_place_is_one() -> None:
    assert annotation("a: b, 100%\nc") == "::error::a: b, 100%25%0Ac"


def test_each_line_of_an_error_is_an_annotation_at_the_place_that_it_names() -> None:
    assert annotated("trainci.toml:14: suites.a: no\ntrainci: no template: x:1: 100%") == (
        "::error file=trainci.toml,line=14::suites.a: no\n::error::trainci: no template: x:1: 100%25"
    )


@given(st.text("# [:]error\t", max_size=12) | st.text(max_size=20))
def test_an_inert_line_holds_no_command_of_either_form(line: str) -> None:
    assert "##[" not in inert(line)
    assert not inert(line).lstrip().startswith("::")
    if "##[" not in line and not line.lstrip().startswith("::"):
        assert inert(line) == line


def test_commands_stop_until_the_same_token() -> None:
    assert (stop_commands("abc"), resume_commands("abc")) == ("::stop-commands::abc", "::abc::")


def test_a_job_is_known_by_its_variable() -> None:
    assert in_actions({"GITHUB_ACTIONS": "true"})
    assert not in_actions({}) and not in_actions({"GITHUB_ACTIONS": ""})
