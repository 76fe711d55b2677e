from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.errors import MachineError
from trainci.github.actions import (
    Annotation,
    annotated,
    annotation,
    bounded,
    first_annotations,
    group,
    in_actions,
    inert,
    resume_commands,
    stop_commands,
    write_outputs,
    write_summary,
)

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


@pytest.mark.parametrize(("count", "shown", "counted"), [(0, 0, ""), (10, 10, ""), (11, 9, "2"), (500, 9, "491")])
def test_what_github_would_drop_in_silence_is_counted_in_the_last_annotation_that_it_shows(count, shown, counted):
    """10 annotations of each level and step."""
    errors = [Annotation(f"fault {number}", "a.py", number + 1) for number in range(count)]
    lines = first_annotations([*errors, Annotation("noted", level="notice")])
    said = [line for line in lines if line.startswith("::error")]
    assert said[:shown] == [f"::error file=a.py,line={number + 1}::fault {number}" for number in range(shown)]
    assert said[shown:] == ([f"::error::{counted} more errors: see the end of this step's log."] if counted else [])
    assert [line for line in lines if line.startswith("::notice")] == ["::notice::noted"]
    rest = [line for line in lines if not line.startswith("::")]
    assert rest == [f"a.py:{number + 1}: fault {number}" for number in range(shown, count)]


def test_what_follows_in_the_log_is_no_command():
    lines = first_annotations([Annotation("::set-output name=x::y\n::error::z")] * 12)
    assert len([line for line in lines if line.startswith("::")]) == 10
    assert not any("\n" in line for line in lines)


# Each part begins with a letter: a blank line could be the one before the count.
@given(st.lists(st.text(max_size=40).map(lambda text: f"x{text}\n"), max_size=30), st.integers(0, 400))
def test_as_many_parts_as_fit_are_kept_from_the_first_and_the_rest_is_counted(parts, room):
    text = bounded(parts, room)
    assert len(text.encode("utf-8", "backslashreplace")) <= room
    if text != "".join(parts):
        kept = next(number for number in range(len(parts), -1, -1) if text.startswith("".join(parts[:number])))
        rest = text.removeprefix("".join(parts[:kept]))
        assert not rest or f"… {len(parts) - kept} more line" in rest
    else:
        assert sum(len(part.encode("utf-8", "backslashreplace")) for part in parts) <= room


def test_a_summary_never_grows_beyond_what_github_shows(tmp_path):
    """1 MiB a step; of a larger one nothing is shown."""
    file = tmp_path / "summary"
    for _ in range(3):
        write_summary(
            "".join(f"| line {number} é |\n" for number in range(40_000)), {"GITHUB_STEP_SUMMARY": str(file)}
        )
    text = file.read_text()
    assert len(text.encode()) <= 1 << 20
    assert text.startswith("| line 0 é |\n| line 1 é |\n")
    assert "more lines: GitHub shows no more of a step than 1 MiB. The log has everything." in text
    write_summary("x\n", {})


@pytest.mark.parametrize("name", ["GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"])
def test_a_file_of_githubs_that_cannot_be_written_is_named(tmp_path, name):
    (tmp_path / "file").touch()
    path = tmp_path / "file/below"
    write = {
        "GITHUB_STEP_SUMMARY": lambda env: write_summary("x", env),
        "GITHUB_OUTPUT": lambda env: write_outputs({}, env),
    }
    with pytest.raises(MachineError, match=r"file/below, which GitHub named, cannot be written: Not a directory"):
        write[name]({name: str(path)})


def test_a_project_below_the_top_of_the_checkout_is_placed_from_there(repository):
    """GitHub takes files from the top; a project may be a folder of a larger repository."""
    config = '[suites.short]\ntests = ["tests/test_*.py"]\n'
    repository.write("trainer/trainci.toml", config)
    repository.write(
        "trainer/tests/test_a.py", "NUM_GPUS = 0\nif __name__ == '__main__':\n    raise ValueError('no')\n"
    )
    job = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(repository.root)}
    said = repository.trainci("run", "short", directory="trainer", environment=job)
    assert "::error file=trainer/tests/test_a.py,line=3," in said.out
    repository.write("trainer/tests/test_b.py", "if __name__ == '__main__':\n    pass\n")
    said = repository.trainci("check", "--format", "github", directory="trainer", environment=job)
    assert "file=trainer/tests/test_b.py,line=" in said.out and "file=tests/" not in said.out
    repository.write("trainer/trainci.toml", f"{config}x = [\n")
    for words in (["list"], ["check", "--format", "github"]):
        said = repository.trainci(*words, directory="trainer", environment=job)
        assert "file=trainer/trainci.toml,line=" in said.out + said.err, words
    elsewhere = {**job, "GITHUB_WORKSPACE": str(repository.root / "other")}
    assert (
        "::error file=trainci.toml," in repository.trainci("list", directory="trainer", environment=elsewhere).err
    )
