"""The main part of a page that goes on, as server-sent events: sent again each time it has become another.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
from anyio import to_thread

_EVERY_S = 1.0
# A look that takes long is taken the less often: what is watched costs at most this part of a core.
_MOST_OF_A_CORE = 0.2
_STOPS_WITHIN_S = 0.25
_LINE_END = re.compile(r"\r\n|\r|\n")
_MAIN = re.compile(r"<main.*</main>", re.DOTALL)


async def stream(
    page: Callable[[], tuple[str, bool]], is_over: Callable[[], Awaitable[bool]]
) -> AsyncIterator[str]:
    """What ``page`` shows, which says whether it goes on; where it shows nothing, nothing is sent."""
    sent = ""
    while not await is_over():
        began = time.monotonic()
        text, live = await to_thread.run_sync(page)
        main = main_of(text)
        # Something is sent at each look: else nobody would notice that the other end is gone.
        yield event(main) if main not in ("", sent) else ":\n\n"
        if not live:
            return
        sent = main or sent
        wake = time.monotonic() + max(_EVERY_S, (time.monotonic() - began) / _MOST_OF_A_CORE)
        while time.monotonic() < wake and not await is_over():
            await anyio.sleep(_STOPS_WITHIN_S)


def main_of(page: str) -> str:
    """The main part of a whole page."""
    found = _MAIN.search(page)
    return found[0] if found else ""


def event(text: str) -> str:
    """``text``, of any number of lines, as one event."""
    return "".join(f"data: {line}\n" for line in _LINE_END.split(text)) + "\n"
