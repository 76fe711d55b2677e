"""How long a server asks to be left alone, in every form in which one says it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.testing.asked_wait import asked_wait

NOW = 1_445_412_420.0  # Wed, 21 Oct 2015 07:27:00 GMT
LATER = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"Retry-After": "0"}, None),
        ({"Retry-After": LATER}, 60.0),
        ({"Retry-After": LATER, "Date": "Wed, 21 Oct 2015 07:27:30 GMT"}, 30.0),  # the server's clock, not ours
        ({"Retry-After": "Wed, 21 Oct 2015 07:26:00 GMT"}, None),
        ({"Retry-After": "soon"}, None),
        ({"RateLimit": '"api";r=0;t=240'}, 240.0),
        ({"ratelimit": '"api" ; r=0 ; t=240', "ratelimit-policy": '"fixed window";"api";q=500;w=300'}, 240.0),
        ({"RateLimit": '"api";t=240;r=0'}, 240.0),
        ({"RateLimit": '"a;r=9,b";r=0;t=240'}, 240.0),
        ({"RateLimit": '"api";r=489;t=189'}, None),  # this window is not what refuses
        ({"RateLimit": '"second";r=0;t=2, "day";r=0;t=900, "month";r=5;t=9999'}, 900.0),
        ({"RateLimit": "default;r=0;t=12"}, 12.0),
        ({"RateLimit": '"api";r=0'}, None),
        ({"RateLimit": "limit=100, remaining=0, reset=50"}, 50.0),
        ({"RateLimit": "limit=100, remaining=3, reset=50"}, None),
        ({"RateLimit-Reset": "50"}, 50.0),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "50"}, 50.0),
        ({"RateLimit-Remaining": "3", "RateLimit-Reset": "50"}, None),
        ({"X-RateLimit-Reset": "50"}, 50.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) + 50)}, 50.0),
        ({"x-ratelimit-reset": str((int(NOW) + 50) * 1000)}, 50.0),
        ({"x-ratelimit-reset": str(int(NOW) - 50)}, None),
        # Who comes again before the last of them is refused again.
        ({"Retry-After": "7", "RateLimit": '"api";r=0;t=240'}, 240.0),
        ({"Retry-After": "300", "RateLimit": '"api";r=0;t=240'}, 300.0),
    ],
)
def test_every_form_of_a_wait_is_understood(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_wait(429, headers, NOW) == seconds


def test_a_window_is_no_reason_where_another_fault_is_told() -> None:
    assert asked_wait(503, {"RateLimit": '"api";r=0;t=240', "X-RateLimit-Reset": "90"}, NOW) is None
    assert asked_wait(503, {"Retry-After": "7", "RateLimit": '"api";r=0;t=240'}, NOW) == 7.0


NAMES = st.sampled_from(
    ["Retry-After", "Date", "RateLimit", "RateLimit-Reset", "X-RateLimit-Reset", "RateLimit-Remaining"]
)
PIECES = st.sampled_from(
    ['"', "a", ";", "=", "r", "t", ",", " ", "0", "9" * 30, "-", ".", "٣", "²", "Wed, 21 Oct", "GMT"]
)


@given(st.dictionaries(NAMES, st.lists(PIECES, max_size=12).map("".join)))
def test_whatever_a_server_says_is_no_fault_of_ours(headers: dict[str, str]) -> None:
    seconds = asked_wait(429, headers, NOW)
    assert seconds is None or seconds > 0
