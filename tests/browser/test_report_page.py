"""The page of a run, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser.conftest import Page
from browser.runs import made

from trainci.history.runs import run_of
from trainci.model.gates import Band, Judgement, Standing
from trainci.model.look import Sample
from trainci.model.run import Attempt, Cause, Ending, Metric, Outcome, Result, Run, Verdict
from trainci.model.tests import Test
from trainci.reports.page import page
from trainci.reports.timeline import slices

pytestmark = pytest.mark.slow

HOSTILE = [
    "tests/<script>alert(1)</script>.py",
    "tests/]]>&lt;img src=x onerror=alert(2)>.py[\"'{{7*7}}]",
    "tests/\x1b[31mred\x1b[0m\u202egnp.py",
    "tests/" + "x" * 100_000,
]


BAND, WIDE = Band(2.2, 2.8), Band(2.0, 3.0)


def sampled(run: Run, devices: int) -> list[Sample]:
    """Eight hours of looks, one each five seconds."""
    step = (run.ended_at - run.started_at) / 5760
    return [
        Sample(run.started_at + step * number, f"GPU-{device}", number * 7 % 101, (number % 60) << 30)
        for number in range(5760)
        for device in range(devices)
    ]


def judged(result: Result) -> Result:
    """With a metric that left its band, called by a hostile name, and one that is in it."""
    out = Judgement(HOSTILE[0], Standing.MOVED, f"it left {HOSTILE[2]}", (3.4, 3.5, 3.6), band=BAND, wide=WIDE)
    fine = Judgement("loss", Standing.WITHIN, "within", (2.5,), band=BAND, wide=WIDE)
    few = Judgement("few", Standing.TOO_FEW, "gates nothing yet", (2.5,))
    return replace(result, verdict=replace(result.verdict, judgements=(out, fine, few)))


def written(root: Path, tests: int, devices: int, names: list[str] | None = None, log: str = "") -> Path:
    told = made(root, tests, devices, names or [])
    if log:
        (root / "00000.log").write_text(log)
    run = run_of(told)
    run = replace(run, results=(judged(run.results[0]), *run.results[1:]))
    metrics = {run.results[0].test_id: [Metric("train/loss", float("nan"), 59, 1.0)]}
    file = root / "report.html"
    file.write_bytes(page(run, slices(told), root, metrics, root, sampled(run, devices)))
    return file


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing_at_any_width_light_or_dark(
    tmp_path: Path, open_page: Callable[..., Page], scheme: str, width: int
) -> None:
    opened = open_page(written(tmp_path, 20, 8), width, color_scheme=scheme)
    assert opened.violations() == []
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"


def test_two_hundred_tests_on_eight_devices_take_300_kb_and_no_request_but_the_file(
    tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    file = written(tmp_path, 200, 8)
    assert file.stat().st_size <= 300_000, f"{file.stat().st_size:,} bytes"
    opened = open_page(file)
    assert opened.requests == [file.as_uri()] and opened.told == []
    assert opened.page.locator("article").count() == 20
    assert opened.page.locator(".timeline rect").count() >= 200
    assert opened.page.locator(".timeline path.busy").count() == 8, "a curve a device"
    assert opened.page.locator("tbody tr").count() == 201, "each test, and a metric"
    assert opened.page.locator(".bands").count() == 3
    assert opened.page.locator(".bands .band").count() == opened.page.locator(".bands .wide").count() == 2
    assert [opened.page.locator(f".bands circle.{kind}").count() for kind in ("out", "in")] == [3, 2]


def test_it_is_read_without_a_script(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    file = written(tmp_path, 20, 8)
    opened = open_page(file, java_script_enabled=False)
    first = opened.page.locator("article").first
    assert "ValueError: the loss is nan at step 59" in first.inner_text()
    assert "posttrain/loss.py:41" in first.inner_text()
    assert "trainci run --id" in first.inner_text()
    assert "<script" not in file.read_text()


def test_hostile_names_and_logs_are_text(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    log = (
        "<script>alert(3)</script> ]]> \x1b[31m\x1b]0;title\x07 \u202e "
        + "y" * 100_000
        + "\nValueError: the loss is nan at step 59\n"
    )
    opened = open_page(written(tmp_path, 20, 8, HOSTILE, log))
    assert opened.told == [] and opened.violations() == []
    said = opened.page.locator("body").inner_text()
    assert "<script>alert(1)</script>" in said and "<script>alert(3)</script>" in said
    assert "{{7*7}}" in said and "\u202e" not in said and "\x1b" not in said
    assert opened.page.locator("script, img").count() == 0
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"


def test_the_keyboard_reaches_every_red_test_and_its_log(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    opened = open_page(written(tmp_path, 20, 8))
    reached = []
    for _ in range(20):
        opened.page.keyboard.press("Tab")
        reached.append(opened.page.evaluate("document.activeElement.outerHTML.slice(0, 200)"))
    for wanted in ('href="#red"', 'href="#timeline"', 'href="#tests"', 'href="00000.log"', "<pre tabindex"):
        assert any(wanted in one for one in reached), (wanted, reached)


def test_the_links_lead_to_the_logs_beside_it_and_to_the_tests_on_it(
    tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    opened = open_page(written(tmp_path, 20, 8))
    for href in opened.page.eval_on_selector_all("a", "links => links.map(a => a.getAttribute('href'))"):
        if href.startswith("#"):
            assert opened.page.locator(f"[id='{href[1:]}']").count() == 1, href
        else:
            assert (tmp_path / href).is_file(), href


def test_printed_it_holds_the_whole_of_each_log_that_is_shown(
    tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    opened = open_page(written(tmp_path, 20, 8))
    opened.page.emulate_media(media="print")
    heights: Any = opened.page.eval_on_selector_all("pre", "all => all.map(e => [e.scrollHeight, e.clientHeight])")
    assert heights and all(scroll <= client + 1 for scroll, client in heights)
    assert not opened.page.locator("nav").is_visible()


def test_of_a_test_that_hung_every_ranks_stack_is_shown(tmp_path: Path) -> None:
    stacks = [
        f"process {rank} (rank {rank} of 64): python train.py\n" + "    in step (train.py:7)\n" * 4
        for rank in range(64)
    ]
    (tmp_path / "log").write_text("step 1\n" * 5000 + "".join(stacks))
    attempt = Attempt(Test("t.py"), 1, 0.0, 1.0, 601.0, Ending(Cause.HUNG, None, 15), "log", ("GPU-0",))
    sentence = "rank 1 of 64 never reached all_reduce #3; it is in `load_batch` (data.py:41)"
    run = Run("r", "", 0.0, 601.0, (Result("t.py", Verdict(Outcome.HUNG, sentence), (attempt,)),), "1 × GPU", 1)
    text = page(run, (), tmp_path, {}).decode()
    assert sentence in text
    assert all(f"rank {rank} of 64" in text for rank in range(64))


def test_ten_thousand_tests_are_a_file_of_at_most_five_mb(tmp_path: Path) -> None:
    file = written(tmp_path, 10_000, 64)
    assert file.stat().st_size <= 5_000_000, f"{file.stat().st_size:,} bytes"
