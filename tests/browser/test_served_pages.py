"""The pages of `trainci serve`, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
import served
from browser.conftest import Page
from support import wait_until

from trainci.history import open_store
from trainci.history.event_log import EventLog
from trainci.history.store import AttemptKey
from trainci.lease.actions import Maintainer
from trainci.model import events
from trainci.model.run import Cause, Ending, Metric, Outcome, Phase, Verdict
from trainci.paths import RunPaths

pytestmark = pytest.mark.slow

RUN = "20260101-000000-abcdef"
GOING = "20260102-000000-abcdef"
HOSTILE = [
    "tests/<script>alert(1)</script>.py",
    "tests/]]>&lt;img src=x onerror=alert(2)>.py[\"'{{7*7}}&id=1#x]",
    "tests/\x1b[31mred\x1b[0m\u202egnp.py",
    "tests/" + "x" * 5_000,
    "tests/\udcff.py",
]
LOG = (
    "<script>alert(3)</script> ]]> \x1b]0;title\x07 \u202e \x1b[31mIT IS RED\x1b[0m\n"
    + "y" * 100_000
    + "\nValueError: the loss is nan at step 59\n"
)
PAGES = {
    "now": "/",
    "runs": "/runs",
    "run": f"/run?id={RUN}",
    "live": f"/run?id={GOING}",
    "test": "/test?id=tests/test_a.py",
    "hostile test": "/test?id=tests%2F%3Cscript%3Ealert(1)%3C%2Fscript%3E.py",
    "tests": "/tests",
    "suites": "/grid",
    "suite": "/grid?suite=short",
    "log": f"/log?run={RUN}&name=00000.log&from=0",
    "end of a log": f"/log?run={RUN}&name=00000.log",
    "health": "/health",
    "missing": "/run?id=none",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[served.Server, EventLog]]:
    """A server over a finished run, with hostile names and a hostile log, and one that goes on."""
    state = served.repository(tmp_path_factory.mktemp("site") / "repository")
    served.add_run(state, RUN, (*HOSTILE, *served.TESTS))
    (state.runs / RUN / "00000.log").write_text(LOG)
    with closing(open_store(state)) as store:
        key = AttemptKey(RUN, "tests/test_a.py", 1)
        store.keep_metrics(key, [Metric("train/<b>loss", float("nan"), 59, 1.0)])
        for number in range(12):
            past = AttemptKey(f"on-main-{number}", "tests/test_a.py", 1)
            store.begin_run(past.run_id, f"{number:040x}", "2 GPUs", 1.7e9 + number, on_base=True)
            store.begin_attempt(past, 1, "a.log", 1.7e9)
            store.end_attempt(past, Phase.BOTH, Ending(Cause.EXITED, 0), 1.7e9 + 9)
            store.keep_metrics(past, [Metric("train/<b>loss", 0.5 + number % 3 / 100, 59, 1.0)])
            store.keep_verdict(past.run_id, past.test_id, Verdict(Outcome.PASSED, ""), 1.7e9 + 9)
        store.begin_run(GOING, "c0ffee", "2 GPUs", 1.8e9 + 999)
    log = EventLog(RunPaths(state, GOING), print)
    planned = tuple(events.Planned(name, 1, "suite") for name in served.TESTS)
    log(events.RunStarted(1.8e9 + 999, GOING, "c0ffee", "2 GPUs", planned))
    log(events.Queued(1.8e9 + 999, served.TESTS[0], 1, f".trainci/runs/{GOING}/0.log", 1))
    log(events.Granted(1.8e9 + 999, served.TESTS[0], 1, Phase.BOTH, ("GPU-0",)))
    (state.runs / GOING / "0.log").write_text("step 1\n")
    Maintainer(served.lock_dir(state.root), {}).quarantine("cpu-0", f"{HOSTILE[0]} {HOSTILE[2]} {HOSTILE[3]}")
    with (state.root / "trainci.toml").open("a") as file:
        file.write('[[quarantine]]\ntest = "tests/test_a.py"\nowner = "<b>"\nreason = "x"\nuntil = 2020-01-01\n')
    with served.running(state.root) as server:
        yield server, log
    log.close()


def at(site: tuple[served.Server, EventLog], page: str) -> str:
    return site[0].address.rstrip("/") + PAGES[page]


@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_nothing_wide_or_narrow_light_or_dark_and_the_console_is_silent(
    site: tuple[served.Server, EventLog], open_page: Callable[..., Page], page: str
) -> None:
    for width, scheme in ((1280, "light"), (360, "dark")):
        opened = open_page(at(site, page), width, color_scheme=scheme)
        assert opened.violations() == []
        # Of an answer that is not 200 the browser itself tells.
        assert [said for said in opened.told if "404" not in said or page != "missing"] == []
        assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
        here = site[0].address
        assert all(asked.startswith(here) for asked in opened.requests), opened.requests


@pytest.mark.parametrize("page", [page for page in PAGES if page != "missing"])
def test_hostile_names_and_logs_are_text_on_each_page(
    site: tuple[served.Server, EventLog], open_page: Callable[..., Page], page: str
) -> None:
    opened = open_page(at(site, page))
    assert opened.told == []
    said = opened.page.locator("body").inner_text()
    assert "\u202e" not in said and "\x1b" not in said and "\x07" not in said
    assert opened.page.locator("main script, img, style, [style], main b").count() == 0
    if page in ("run", "tests"):
        assert "{{7*7}}" in said
    if page in ("run", "hostile test", "health"):
        assert HOSTILE[0] in said
    if page == "log":
        assert "<script>alert(3)</script>" in said and "\\u202e" in said


def test_every_link_leads_to_a_page(site: tuple[served.Server, EventLog], open_page: Callable[..., Page]) -> None:
    found: set[str] = set()
    for page in PAGES:
        opened = open_page(at(site, page))
        found |= set(opened.page.eval_on_selector_all("a", "all => all.map(a => a.getAttribute('href'))"))
        for href in found:
            if href.startswith("#"):
                assert page not in ("run",) or opened.page.locator(f"[id='{href[1:]}']").count() <= 1
    paths = {href for href in found if not href.startswith("#")}
    assert len(paths) > 15
    for href in paths:
        # Of a name with a byte that is no text nothing is known under the text that it is shown as.
        assert site[0].get(href).code == (404 if "%FF" in href else 200), href


def test_a_tests_page_shows_its_metrics_with_their_bands(
    site: tuple[served.Server, EventLog], open_page: Callable[..., Page]
) -> None:
    opened = open_page(at(site, "test"))
    assert opened.page.locator(".bands circle.in").count() == 12
    assert opened.page.locator(".bands .band").count() == opened.page.locator(".bands .wide").count() == 1
    assert "12 trusted runs" in opened.page.locator("figcaption").first.inner_text()
    said = opened.page.locator(".bands").first.get_attribute("aria-label")
    assert said == "train/<b>loss: 12 values, 0 of them outside of the band"


def test_a_log_shows_its_colours(site: tuple[served.Server, EventLog], open_page: Callable[..., Page]) -> None:
    opened = open_page(at(site, "log"))
    red = opened.page.get_by_text("IT IS RED")
    assert red.evaluate("e => getComputedStyle(e).color") == "rgb(179, 38, 30)"


def test_the_keyboard_goes_from_now_to_the_log_of_a_red_test(
    site: tuple[served.Server, EventLog], open_page: Callable[..., Page]
) -> None:
    opened = open_page(at(site, "now"))
    for place, address in (
        ("Runs", r"/runs$"),
        (RUN, r"/run\?id="),
        (f".trainci/runs/{RUN}/00000.log", r"/log\?run="),
        ("Before this", r"from=\d+$"),
        ("Beginning", r"from=0$"),
    ):
        for _ in range(80):
            opened.page.keyboard.press("Tab")
            focused = opened.page.evaluate("document.activeElement.innerText")
            if focused == place:
                break
        else:
            raise AssertionError(f"no way to {place}")
        outline = opened.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", "where one is can be seen"
        opened.page.keyboard.press("Enter")
        opened.page.wait_for_url(re.compile(address))


def test_a_run_that_goes_on_is_renewed_by_itself_unless_somebody_says_no(
    site: tuple[served.Server, EventLog], open_page: Callable[..., Page]
) -> None:
    server, log = site
    stays, renewed = open_page(at(site, "live")), open_page(at(site, "live"))
    stays.page.locator("#renew").uncheck()
    assert "0 of 3 tests are done" in renewed.page.locator("h1").inner_text()
    one = (1.8e9 + 1010, served.TESTS[0], 1)
    log(events.Ended(*one, Phase.BOTH, Ending(Cause.EXITED, 0)))
    log(events.Concluded(*one, Verdict(Outcome.PASSED, "in 9.0 s")))
    wait_until(
        lambda: "1 of 3 tests are done" in renewed.page.evaluate("document.querySelector('h1').innerText"),
        "the page takes over what is new",
    )
    assert renewed.told == [] and "0 of 3" in stays.page.locator("h1").inner_text()
    assert "1 of 3" in server.get(PAGES["live"]).text


def test_whoever_reads_is_not_disturbed_and_is_shown_what_is_new_once_he_leaves(
    site: tuple[served.Server, EventLog], open_page: Callable[..., Page]
) -> None:
    _, log = site
    read, seen = open_page(at(site, "live")), open_page(at(site, "live"))
    headline = read.page.locator("h1").inner_text()
    read.page.locator("main a").first.focus()
    log(events.Concluded(1.8e9 + 1020, served.TESTS[1], 1, Verdict(Outcome.PASSED, "in 9.0 s")))
    wait_until(lambda: seen.page.locator("h1").inner_text() != headline, "others are shown it")
    assert read.page.locator("h1").inner_text() == headline
    read.page.evaluate("document.activeElement.blur()")
    wait_until(
        lambda: read.page.locator("h1").inner_text() != headline, "it is shown once nobody is within the page"
    )
    assert read.told == seen.told == []


def test_without_a_script_every_page_can_be_read(
    site: tuple[served.Server, EventLog], open_page: Callable[..., Page]
) -> None:
    opened = open_page(at(site, "live"), java_script_enabled=False)
    assert "What goes on" in opened.page.locator("main").inner_text()
    assert not opened.page.locator(".renew").is_visible()
