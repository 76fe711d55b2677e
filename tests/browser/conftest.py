"""A real browser, and axe's rules for pages that everybody can use. Both are skipped where they are missing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import unavailable

NODE = Path(__file__).parent / "node_modules"
AXE = NODE / "axe-core/axe.min.js"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Not for the whole session: while it is there no other test can have an event loop of its own."""
    chromium = shutil.which("chromium")
    if chromium is None:
        unavailable("chromium is not installed (apt-get install chromium)")
    if not AXE.exists():
        unavailable("axe is not installed (npm ci --prefix tests/browser)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


class Page:
    """A page as a person has it, and what the browser told of it meanwhile."""

    def __init__(self, page: Any, requests: list[str], told: list[str]) -> None:
        self.page = page
        self.requests = requests
        self.told = told

    def violations(self) -> list[str]:
        """What axe finds, each with the elements that it is about."""
        # Beside the page's own policy, which lets no script run.
        session = self.page.context.new_cdp_session(self.page)
        session.send("Runtime.evaluate", {"expression": AXE.read_text()})
        found = session.send(
            "Runtime.evaluate",
            {
                "expression": "axe.run({resultTypes: ['violations']}).then(r => r.violations.map("
                "v => v.id + ': ' + v.nodes.map(n => n.html.slice(0, 150)).join(' ; ')))",
                "awaitPromise": True,
                "returnByValue": True,
            },
        )
        assert "exceptionDetails" not in found, found
        value: list[str] = found["result"]["value"]
        return value


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Page]]:
    """Opens a file, or an address; ``options`` are those of a browser's context (width, color_scheme, …)."""
    contexts = []

    def opened(place: Path | str, width: int = 1280, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        requests: list[str] = []
        told: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("dialog", lambda dialog: told.append(f"dialog: {dialog.message}"))
        page.goto(place if isinstance(place, str) else place.as_uri())
        return Page(page, requests, told)

    yield opened
    for context in contexts:
        context.close()
