"""Who may read the pages."""

from __future__ import annotations

import pytest

from trainci.serve.guard import has_token, is_our_name


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8600", "localhost:1", "LOCALHOST", "[::1]:8600", "[::1]"])
def test_the_names_of_this_host_itself_are_ours(host: str) -> None:
    assert is_our_name(host)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:8600", "127.0.0.1.evil.example", "localhost.", "evil@127.0.0.1", "10.0.0.1"],
)
def test_no_other_name_is_ours(host: str) -> None:
    assert not is_our_name(host)


@pytest.mark.parametrize(
    ("authorization", "cookie", "may"),
    [
        ("Bearer s3cret", "", True),
        ("bearer s3cret", "", True),
        ("", "trainci_token=s3cret", True),
        ("", "other=1; trainci_token=s3cret", True),
        ("Basic s3cret", "", False),
        ("Bearer s3cre", "", False),
        ("Bearer ", "", False),
        ("Bearer s\u00e9cret", "", False),
        ("", "trainci_token=", False),
        ("", "trainci_token=wrong", False),
        ("", "\x00;=;;", False),
        ("", "", False),
    ],
)
def test_the_token_is_shown_in_a_header_or_a_cookie(authorization: str, cookie: str, may: bool) -> None:
    assert has_token("s3cret", authorization, cookie) is may
