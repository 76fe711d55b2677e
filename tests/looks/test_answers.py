"""What a process answers is read as something that anybody may have written."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from trainci.looks import answers
from trainci.model.look import Group, Operation, StackFrame, Thread

DUMP = b"""Thread 0x00007f00 (most recent call first):
  File "/x/trainci/probe/ranks.py", line 3 in answer

Thread 0x00007f01 [loader] (most recent call first):
  File "/repo/data.py", line 41 in load_batch

Current thread 0x00007f02 (most recent call first):
  File "/lib/threading.py", line 327 in wait
  File "/repo/train.py", line 7 in <module>
"""
GROUPS = {
    "rank": 1,
    "world_size": 2,
    "groups": [
        {
            "name": "0",
            "what": "default_pg",
            "ranks": [0, 1],
            "last": {"number": 3, "name": "gloo:all_reduce", "sizes": "[[4]]", "p2p": False},
            "waits": None,
        }
    ],
}
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["rank", "groups", "name", "ranks",
        "last", "waits", "number", "what", "p2p", "world_size"]), inner, max_size=6),
    max_leaves=30,
)  # fmt: skip


def test_threads_are_read_from_a_dump_without_the_one_that_answers() -> None:
    assert answers.threads(DUMP) == (
        Thread("0x00007f01", (StackFrame("/repo/data.py", 41, "load_batch"),)),
        Thread(
            "0x00007f02",
            (StackFrame("/lib/threading.py", 327, "wait"), StackFrame("/repo/train.py", 7, "<module>")),
        ),
    )


def test_groups_are_read() -> None:
    operation = Operation(3, "all_reduce", "[[4]]")
    group = Group("0", (0, 1), operation, None, "default_pg")
    assert answers.groups(json.dumps(GROUPS).encode()) == (1, 2, (group,))


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
@example(DUMP.replace(b"data", b"\x1b[31m\xff"))
@example(b"[" * 100_000)
@example(b'{"rank": ' + b"9" * 5000 + b', "groups": []}')
def test_no_answer_is_a_fault_of_ours_and_none_shows_what_cannot_be_printed(data: bytes) -> None:
    for thread in answers.threads(data):
        assert all(f"{frame.file}{frame.function}".isprintable() for frame in thread.frames)
    answers.groups(data)


@given(_ANY)
def test_any_json_is_groups_or_nothing(said: object) -> None:
    found = answers.groups(json.dumps({"rank": 0, "groups": said, "world_size": said}).encode())
    for group in found[2] if found else ():
        assert (group.name + group.what).isprintable()
