"""`-k`: which ids an expression keeps, and what is said of one that is none."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.errors import UsageError
from trainci.selection.narrow import matching

IDS = ("tests/test_ckpt.py", "tests/test_ckpt.py[--async-save]", "tests/test_moe.py", "tests/slow/test_moe.py")


@pytest.mark.parametrize(
    ("expression", "kept"),
    [
        ("ckpt", [0, 1]),
        ("CKPT", [0, 1]),
        ("ckpt and not async", [0]),
        ("not ckpt", [2, 3]),
        ("async or slow", [1, 3]),
        ("moe and not slow or async", [1, 2]),
        ("moe and (slow or async)", [3]),
        ("not (moe or async)", [0]),
        ("not not moe", [2, 3]),
        ("[--async", [1]),
        ("nothing", []),
    ],
)
def test_an_expression_keeps_what_it_says(expression, kept):
    keep = matching(expression)
    assert [number for number, test_id in enumerate(IDS) if keep(test_id)] == kept


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("", "it is empty"),
        ("()", "a part of an id is missing before"),
        ("(", "a part of an id is missing at its end"),
        ("a and", "a part of an id is missing at its end"),
        ("or a", "a part of an id is missing before 'or'"),
        ("(a", "a ')' is missing"),
        ("a)", "')' comes where `and` or `or` was to come"),
        ("a b", "'b' comes where `and` or `or` was to come"),
        ("(" * 5000 + "a" + ")" * 5000, "more than 100 parentheses"),
    ],
)
def test_what_is_no_expression_is_told(expression, why):
    with pytest.raises(UsageError, match=r"^-k") as told:
        matching(expression)
    assert why in str(told.value)


WORDS = st.lists(st.sampled_from(["and", "or", "not", "(", ")", "a", "b", "test", "é", "\udcff"]), max_size=30)


@given(WORDS, st.text(max_size=10))
def test_any_words_are_an_expression_as_python_has_it_or_an_error(words, test_id):
    try:
        said = matching(" ".join(words))(test_id)
    except UsageError:
        said = None
    names = [w if w in ("and", "or", "not", "(", ")") else repr(w.casefold() in test_id.casefold()) for w in words]
    try:
        tree = ast.parse(" ".join(names), mode="eval")
    except SyntaxError:
        tree = None
    # To Python `()` is a tuple, and `a (b)` a call.
    is_one = tree and not any(isinstance(node, (ast.Tuple, ast.Call)) for node in ast.walk(tree))
    assert said == (bool(eval(compile(tree, "words", "eval"))) if is_one else None)


def test_a_very_long_expression_is_no_deep_one():
    assert matching(" and ".join(["test"] * 20_000))("test_a")
