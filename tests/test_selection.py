from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from trainci.catalog.styles import STYLES
from trainci.errors import UsageError
from trainci.model.project import Project, Suite
from trainci.model.selection import Refused, Selection
from trainci.model.tests import Declarations, Entry
from trainci.selection.choose import Choice, choose, wants_changes
from trainci.selection.resolve import resolve
from trainci.text import printable

_A, _ASYNC, _FP8 = Entry("tests/a.py"), Entry("tests/a.py", ("--async",)), Entry("tests/a.py", env=(("FP8", "1"),))
_B = Entry("tests/b.py", where="trainci.toml:9")
_SHORT = Suite("short", "run-ci-short", entries=(_A, _B))
_LONG = Suite("long", "slow", entries=(_ASYNC, _FP8, _B), timeout=7200.0, image="old")
_ALL = Suite("image", "run-ci-image", all_tests=True, image="new")
_CHANGED = Suite("changed", "run-ci-changed", changed=True)
_FILES = ("tests/a.py", "tests/b.py", "tests/loose.py")


def _project(*suites: Suite) -> Project:
    all_suites = suites or (_SHORT, _LONG, _ALL, _CHANGED)
    return Project(("tests/*.py",), "main", 8, "base", all_suites, num_gpus=8, timeout=3600.0)


def _ids(
    selectors: list[str], ids: tuple[str, ...] = (), changed: dict[str, str] | None = None, **more: Any
) -> list[str]:
    return [choice.entry.id for choice in choose(_project(), selectors, ids, _FILES, changed or {}, **more)]


def _resolve(choices: Any, declared: dict[str, Declarations] | None = None, **more: Any) -> Selection:
    says = {file: Declarations(num_gpus=1) for file in _FILES} | (declared or {})
    of_entries = {choice.entry: says[choice.entry.file] for choice in choices}
    return resolve(_project(), choices, of_entries, STYLES, ("python3", "-X", "dev"), **more)


@pytest.mark.parametrize(
    ("selector", "ids", "reason"),
    [
        ("run-ci-short", [_A, _B], "label run-ci-short"),
        ("short", [_A, _B], "suite short"),
        ("slow", [_ASYNC, _FP8, _B], "label slow"),
        ("tests/a.py", [_A, _ASYNC, _FP8], "file"),
        ("./tests//a.py", [_A, _ASYNC, _FP8], "file"),
        ("tests/loose.py", [Entry("tests/loose.py")], "file, not registered"),
        ("tests/a.py[--async]", [_ASYNC], "test id"),
        ("tests/?.py", [_A, _ASYNC, _FP8, _B, _B], "glob tests/?.py"),
        ("tests/l*.py", [Entry("tests/loose.py")], "glob tests/l*.py, not registered"),
        ("tests/a.py[FP*", [_FP8], "glob tests/a.py[FP*"),
        ("image", [_A, _B, _ASYNC, _FP8, _B], "suite image"),
    ],
)
def test_a_selector_names_its_tests_in_the_order_of_the_file_with_the_reason(
    selector: str, ids: list[Entry], reason: str
) -> None:
    chosen = choose(_project(), [selector], (), _FILES, {})
    assert [choice.entry for choice in chosen] == ids
    assert {choice.reason for choice in chosen} == {reason}


def test_tests_come_in_the_order_in_which_they_were_asked_for() -> None:
    assert _ids(["tests/b.py", "tests/loose.py", "short"])[:3] == ["tests/b.py", "tests/b.py", "tests/loose.py"]
    found = _resolve(choose(_project(), ["tests/b.py", "short"], (), _FILES, {}))
    assert [selected.test.id for selected in found.tests] == ["tests/b.py", "tests/a.py"]


def test_an_id_names_one_variant_and_never_a_file_or_a_suite() -> None:
    assert _ids([], ("tests/a.py",)) == ["tests/a.py"]
    assert _ids([], ("tests/loose.py",)) == ["tests/loose.py"]
    for wrong in ("short", "tests/*.py", "./tests/a.py", "tests/a.py[]"):
        with pytest.raises(UsageError, match="is no test's id"):
            _ids([], (wrong,))


def test_twenty_thousand_ids_are_found_among_as_many_entries_each_looked_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []
    monkeypatch.setattr("trainci.model.tests.printable", lambda text: made.append(text) or text)
    entries = tuple(Entry("tests/a.py", (str(n),)) for n in range(20_000))
    suite = Suite("many", "run-ci-many", entries=entries)
    ids = [f"tests/a.py[{n}]" for n in range(20_000)]
    for selectors in (), ("many",):
        assert len(choose(_project(suite), selectors, ids, _FILES, {})) == 20_000
    assert len(made) == 20_000, "an id is made once"


@pytest.mark.parametrize(("selector", "meant"), [("shrot", "short"), ("tests/lose.py", "tests/loose.py")])
def test_a_selector_that_names_nothing_says_what_it_may_have_meant(selector: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"Did you mean .*{meant}") as caught:
        _ids([selector])
    guesses = str(caught.value).partition("Did you mean ")[2].partition("?")[0].split(", ")
    assert len(guesses) == len(set(guesses))


@given(st.text(max_size=12))
@example("changed")
def test_any_selector_chooses_tests_or_is_refused_in_one_line(selector: str) -> None:
    try:
        # With a change, as without one the suite of what changed has no test.
        assert _ids([selector], changed={"tests/a.py": "modified"})
    except UsageError as error:
        assert str(error).isprintable()


def test_changed_alone_takes_exactly_the_tests_that_the_change_reaches() -> None:
    changed = {"tests/a.py": "modified", _FP8.id: "modified", "tests/loose.py": "added"}
    chosen = choose(_project(), [], (), _FILES, changed, only_changed=True)
    assert [(choice.entry.id, choice.reason) for choice in chosen] == [
        ("tests/a.py", "modified"),
        ("tests/a.py[FP8=1]", "modified"),
        ("tests/loose.py", "added, not registered"),
    ]


def test_changed_narrows_what_the_selectors_name() -> None:
    chosen = choose(_project(), ["short"], (), _FILES, {"tests/b.py": "modified"}, only_changed=True)
    assert [(choice.entry.id, choice.reason) for choice in chosen] == [("tests/b.py", "suite short; modified")]
    assert choose(_project(), ["short"], (), _FILES, {}, only_changed=True) == ()


def test_the_changed_suite_takes_the_changed_tests_and_only_it_needs_git() -> None:
    chosen = choose(_project(), ["changed"], (), _FILES, {"tests/b.py": "modified"})
    assert {(choice.entry.id, choice.suite and choice.suite.name) for choice in chosen} == {
        ("tests/b.py", "changed")
    }
    assert wants_changes(_project(), ["run-ci-changed"]) and wants_changes(_project(), ["x", "changed"])
    assert not wants_changes(_project(), ["short", "tests/b.py"])


def test_what_several_choices_name_runs_once_with_the_longest_limit_and_all_reasons() -> None:
    (only,) = _resolve(choose(_project(), ["short"], (_B.id,), ("tests/b.py",), {}) * 2).tests
    assert only.reason == "suite short"
    found = _resolve(choose(_project(), ["short", "slow", "tests/b.py"], (), _FILES, {})).tests
    by_id = {selected.test.id: selected for selected in found}
    assert len(by_id) == len(found) == 4
    assert by_id["tests/b.py"].reason == "suite short; label slow; file"
    assert by_id["tests/b.py"].test.timeout == 7200.0
    assert by_id["tests/a.py"].test.timeout == 3600.0


def test_a_reason_is_kept_though_another_contains_its_words() -> None:
    first, second = Choice(_A, None, "suite short2"), Choice(_A, None, "suite short")
    assert _resolve([first, second]).tests[0].reason == "suite short2; suite short"


def test_a_suite_that_takes_tests_over_keeps_their_own_limit_unless_it_sets_one() -> None:
    project = _project()
    limits = {s.test.id: s.test.timeout for s in _resolve(choose(project, ["image"], (), _FILES, {})).tests}
    assert limits == {"tests/a.py": 3600.0, "tests/b.py": 7200.0, _ASYNC.id: 7200.0, _FP8.id: 7200.0}
    hurried = _project(_SHORT, _LONG, replace(_ALL, timeout=60.0))
    assert {s.test.timeout for s in _resolve(choose(hurried, ["image"], (), _FILES, {})).tests} == {60.0}
    (changed,) = _resolve(choose(project, ["changed"], (), _FILES, {"tests/b.py": "modified"})).tests
    assert changed.test.timeout == 7200.0


@pytest.mark.parametrize(
    ("entry", "declared", "gpus"),
    [(None, None, 8), (None, 2, 2), (0, 2, 0), (4, None, 4), (None, 0, 0)],
)
def test_devices_are_the_overrides_then_the_files_then_the_default(
    entry: int | None, declared: int | None, gpus: int
) -> None:
    choice = Choice(replace(_A, num_gpus=entry), None, "")
    assert _resolve([choice], {"tests/a.py": Declarations(num_gpus=declared)}).tests[0].test.num_gpus == gpus


@pytest.mark.parametrize(
    ("given_limit", "entry", "suite", "limit"),
    [(None, None, None, 3600.0), (None, None, 60.0, 60.0), (None, 5.0, 60.0, 5.0), (1.0, 5.0, 60.0, 1.0)],
)
def test_a_limit_is_the_users_then_the_entrys_then_the_suites_then_the_projects(
    given_limit: float | None, entry: float | None, suite: float | None, limit: float
) -> None:
    choice = Choice(replace(_A, timeout=entry), replace(_SHORT, timeout=suite), "")
    assert _resolve([choice], timeout=given_limit).tests[0].test.timeout == limit


def test_the_image_is_the_suites_or_the_projects() -> None:
    images = [_resolve([Choice(_A, suite, "")]).tests[0].test.image for suite in (_SHORT, _ALL, None)]
    assert images == ["base", "new", "base"]


def test_the_command_is_what_the_style_makes_of_the_interpreter_the_entry_and_its_devices() -> None:
    (python,) = _resolve([Choice(_ASYNC, None, "")]).tests
    assert python.test.command == ("python3", "-X", "dev", "tests/a.py", "--async")

    class Ranks:
        leaves_results = False

        def command(self, entry: Entry, num_gpus: int, python: tuple[str, ...]) -> tuple[str, ...]:
            return (*python, "-m", "launch", str(num_gpus), entry.file, *entry.args)

    says = {_ASYNC: Declarations(num_gpus=2, style="ranks")}
    (ranks,) = resolve(_project(), [Choice(_ASYNC, None, "")], says, {**STYLES, "ranks": Ranks()}, ("py",)).tests
    assert ranks.test.command == ("py", "-m", "launch", "2", "tests/a.py", "--async")


def test_a_file_with_a_fault_is_refused_and_the_others_go_on() -> None:
    found = _resolve(
        choose(_project(), ["short"], (), _FILES, {}), {"tests/a.py": Declarations(fault="a.py:3: no")}
    )
    assert found.refused == (Refused("tests/a.py", "a.py:3: no"),)
    assert [selected.test.id for selected in found.tests] == ["tests/b.py"]


_ENTRIES = st.builds(
    Entry,
    file=st.text(max_size=8).map(lambda text: f"{text}.py"),
    args=st.lists(
        st.one_of(st.text(max_size=5), st.sampled_from(["A=1", "--x", "a b", "", "\\n", "\n"])), max_size=3
    ).map(tuple),
    env=st.dictionaries(st.sampled_from("AB"), st.one_of(st.text(max_size=4), st.just("1")), max_size=2).map(
        lambda variables: tuple(sorted(variables.items()))  # their order is no part of a test
    ),
)


@given(_ENTRIES)
def test_an_id_is_always_one_printable_line(entry: Entry) -> None:
    assert entry.id and entry.id.isprintable()


@given(_ENTRIES, _ENTRIES)
def test_two_tests_never_share_an_id(first: Entry, second: Entry) -> None:
    assume(first != second)
    assert first.id != second.id


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Entry("a.py", ("--lr 1",)), Entry("a.py", ("--lr", "1"))),
        (Entry("a.py", ("",)), Entry("a.py")),
        (Entry("a.py", ("A=1",)), Entry("a.py", env=(("A", "1"),))),
        (Entry("a\n.py"), Entry("a\\n.py")),
        (Entry("a.py", num_gpus=2, by_num_gpus=True), Entry("a.py", ("num_gpus=2",))),
    ],
)
def test_what_looks_alike_has_two_ids(first: Entry, second: Entry) -> None:
    assert first.id != second.id


@given(st.text(), st.text())
def test_printable_text_stays_as_it_is(text: str, other: str) -> None:
    assert printable(text).isprintable()
    assert not text.isprintable() or printable(text) == text
