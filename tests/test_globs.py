from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support import examples

from trainci.globs import is_glob, literal_directory, matches

_NAMES = st.sampled_from(["a", "b", "ab", ".a", "a b", "[a]", "a]", "!", "-", "a\nb", "+", "0", "^", "\\"])
_PIECES = st.sampled_from(
    [
        "a",
        "b",
        "*",
        "?",
        "[ab]",
        "[!a]",
        "[]a]",
        "[!]a]",
        "[+-9]",
        "[b-a]",
        "[",
        "]",
        "[^a]",
        ".",
        "\n",
        "[\\]",
        " ",
    ]
)
_COMPONENTS = st.one_of(st.just("**"), st.lists(_PIECES, min_size=1, max_size=3).map("".join))


@settings(max_examples=examples(150))
@given(
    st.lists(st.lists(_NAMES, min_size=1, max_size=3).map("/".join), min_size=1, max_size=6),
    st.lists(_COMPONENTS, min_size=1, max_size=3),
)
def test_a_glob_means_what_pathlib_means_by_it(
    new_repository: Callable[[], Any], paths: list[str], components: list[str]
) -> None:
    # pathlib knows "**" only alone and, before Python 3.13, ends it at directories; "." and ".." are no names.
    assume(not any(("**" in part and part != "**") or part in (".", "..") for part in components))
    assume(components[-1] != "**")
    root, pattern = new_repository().root, "/".join(components)
    files = set()
    for path in paths:
        try:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).touch()
        except OSError:  # one name cannot be a file and a directory
            continue
        files.add(path)
    files = {path for path in files if (root / path).is_file()}
    expected = {path.relative_to(root).as_posix() for path in root.glob(pattern) if path.is_file()}
    assert {path for path in files if matches(path, pattern)} == expected


@given(st.text("ab[]!-+9*?^./\\", max_size=8))
def test_no_wildcard_within_a_component_crosses_a_slash(pattern: str) -> None:
    one = re.sub(r"\*+", "*", pattern.replace("/", ""))
    assume(one)
    for path in ("a/b", "/", "a/", "/b", "+/9"):
        assert not matches(path, one)


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_is_a_glob_of_some_meaning(path: str, pattern: str) -> None:
    assert matches(path, pattern) in (True, False)


@given(st.lists(st.text("ab.-_ ", min_size=1, max_size=4), min_size=1, max_size=3).map("/".join))
def test_a_path_without_wildcards_matches_itself_alone(path: str) -> None:
    assert not is_glob(path)
    assert matches(path, path)
    assert not matches(path + "x", path)
    assert not matches("x/" + path, path)


@pytest.mark.parametrize(
    ("pattern", "directory"),
    [
        ("tests/test_*.py", "tests"),
        ("tests/ci/test_*.py", "tests/ci"),
        ("tests/*/test_a.py", "tests"),
        ("**/test_*.py", ""),
        ("test_*.py", ""),
        ("tests/test_a.py", "tests"),
        ("tests/[ab]/c/*.py", "tests"),
    ],
)
def test_every_match_lies_below_the_literal_directory(pattern: str, directory: str) -> None:
    assert literal_directory(pattern) == directory


def test_two_stars_at_the_end_take_everything_below() -> None:
    assert matches("tests/a/b.py", "tests/**")
    assert not matches("other/a.py", "tests/**")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 40, "a" * 200 + "b"),
        ("*?" * 40 + "b", "a" * 200),
        ("[ab]*" * 40 + "c", "ab" * 100),
        ("**/a/" * 40 + "b", "a/" * 200 + "c"),
        ("**/*a*/" * 30 + "b", "aaa/" * 100 + "c"),
        ("a**" * 40 + "c", "a" * 200 + "b"),
    ],
)
def test_no_pattern_takes_exponential_time(pattern: str, path: str) -> None:
    """With backtracking, each of these would outlive the machine; the limit is only there to end it."""
    assert not matches(path, pattern)


_FEW = st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=5)


@given(_FEW, st.lists(st.one_of(st.just("**"), st.text("ab*?", min_size=1, max_size=4)), min_size=1, max_size=5))
def test_a_glob_means_what_its_definition_says(names: list[str], components: list[str]) -> None:
    """Against the definition written down as it is, which takes exponential time."""

    def within(name: str, pattern: str) -> bool:
        if not pattern:
            return not name
        if pattern[0] == "*":
            return within(name, pattern[1:]) or (bool(name) and within(name[1:], pattern))
        return bool(name) and pattern[0] in ("?", name[0]) and within(name[1:], pattern[1:])

    def below(names: list[str], components: list[str]) -> bool:
        if not components or not names:
            return not components and not names
        if components[0] == "**":
            return len(components) == 1 or below(names, components[1:]) or below(names[1:], components)
        return within(names[0], components[0]) and below(names[1:], components[1:])

    assert matches("/".join(names), "/".join(components)) == below(names, components)
