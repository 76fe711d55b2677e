"""What is new of a page, as server-sent events."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
from hypothesis import given
from hypothesis import strategies as st

from trainci.serve import live


def streamed(pages: Iterator[tuple[str, bool]], looks: int = 100) -> list[str]:
    """All that is sent of ``pages``, by somebody who is gone after so many looks."""
    taken = 0

    def page() -> tuple[str, bool]:
        nonlocal taken
        taken += 1
        return next(pages)

    async def is_over() -> bool:
        return taken >= looks

    async def collected() -> list[str]:
        return [said async for said in live.stream(page, is_over)]

    return anyio.run(collected)


def main(text: str) -> str:
    return f"<html><title>x</title><main data-live>\n{text}\n</main></html>"


def test_only_the_main_part_is_sent_and_only_where_it_is_another(monkeypatch) -> None:
    monkeypatch.setattr(live, "_EVERY_S", 0.0)
    monkeypatch.setattr(live, "_STOPS_WITHIN_S", 0.0)
    pages = [(main("a"), True), (main("a"), True), ("", True), (main("a"), True), (main("b"), False)]
    sent = streamed(iter(pages))
    a, b = (f"data: <main data-live>\ndata: {text}\ndata: </main>\n\n" for text in "ab")
    assert sent == [a, ":\n\n", ":\n\n", ":\n\n", b]


def test_whoever_is_gone_is_told_nothing_more(monkeypatch) -> None:
    monkeypatch.setattr(live, "_EVERY_S", 0.0)
    assert len(streamed(iter([(main("a"), True)] * 9), looks=3)) == 3


@given(st.text())
def test_whatever_a_page_holds_is_one_event_and_whole(text: str) -> None:
    """Read as the standard says: fields by lines of any kind of end, joined by line feeds."""
    *lines, end, nothing = live.event(text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert (end, nothing) == ("", "") and all(line.startswith("data: ") for line in lines)
    said = "\n".join(line.removeprefix("data: ") for line in lines)
    assert said == text.replace("\r\n", "\n").replace("\r", "\n")
