"""Secrets stay out of what is shown, however a stream is cut into reads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trainci.testing.redaction import Redactor, redact

# Few letters, so that secrets begin, overlap and repeat each other often.
words = st.text("ab", min_size=1, max_size=5)


@given(secrets=st.lists(words, max_size=3), chunks=st.lists(st.text("abc", max_size=6), max_size=8))
def test_no_secret_is_shown_however_the_stream_is_cut(secrets: list[str], chunks: list[str]) -> None:
    redactor = Redactor(secrets)
    shown = b"".join(redactor.feed(chunk.encode()) for chunk in chunks) + redactor.flush()
    assert not [secret for secret in secrets if secret.encode() in shown]


@given(secrets=st.lists(words, max_size=3), chunks=st.lists(st.text("abc", max_size=6), max_size=8))
def test_the_cuts_make_no_difference(secrets: list[str], chunks: list[str]) -> None:
    redactor = Redactor(secrets)
    shown = b"".join(redactor.feed(chunk.encode()) for chunk in chunks) + redactor.flush()
    assert shown.decode() == redact("".join(chunks), secrets)


@given(chunks=st.lists(st.binary(max_size=6), max_size=8))
def test_what_holds_no_secret_passes_unchanged(chunks: list[bytes]) -> None:
    redactor = Redactor(["a secret that is longer than all of it together, or nearly so"])
    assert b"".join(map(redactor.feed, chunks)) + redactor.flush() == b"".join(chunks)


def test_output_is_held_back_only_where_a_secret_may_have_begun() -> None:
    redactor = Redactor(["hunter2"])
    assert redactor.feed(b"password: hun") == b"password: "
    assert redactor.feed(b"ger") == b"hunger"


def test_an_unset_secret_masks_nothing() -> None:
    assert redact("plain words", [""]) == "plain words"


def test_a_secret_that_begins_with_another_is_masked_whole() -> None:
    assert redact("key abcdef, abc", ["abc", "abcdef"]) == "key ***, ***"
