"""``trainci serve``: the runs of this repository and the devices of this host as pages."""

from __future__ import annotations

import os
import secrets

import click

from trainci.errors import EXIT_OK
from trainci.lease.view import done_by_hand, host_status
from trainci.model.tests import Test
from trainci.repository import Repository, Request, open_repository
from trainci.serve.guard import LOOPBACK
from trainci.serve.views import Source

_TOKEN = "TRAINCI_SERVE_TOKEN"


@click.command("serve")
@click.option("--host", default=LOOPBACK[0], show_default=True, metavar="ADDRESS", help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), default=8600, show_default=True, help="0 takes a free one.")
def command(host: str, port: int) -> int:
    """Serve pages that show what runs, the devices, past runs with their logs, and each test's history.

    Nothing can be changed there. On another address than this host's own, a token must be shown: that of
    $TRAINCI_SERVE_TOKEN, else one that is made and printed. Needs `pip install 'trainci[serve]'`.
    """
    from trainci.serve.listen import serve

    repository = open_repository()
    repository.state.check()
    tests = _tests(repository)
    source = Source(
        repository.state,
        {suite: tuple(test.id for test in its) for suite, its in tests.items()},
        lambda: host_status(None),
        lambda: done_by_hand(None),
        repository.project.quarantine,
        {test.id: test.metrics for its in tests.values() for test in its if test.metrics},
    )
    token = os.environ.get(_TOKEN, "") or ("" if host in LOOPBACK else secrets.token_urlsafe(32))
    try:
        serve(source, host, port, token, click.echo)
    except KeyboardInterrupt:
        return EXIT_OK
    return EXIT_OK


def _tests(repository: Repository) -> dict[str, list[Test]]:
    """Each suite's tests, as of now; what a change touches is not known before."""
    return {
        suite.name: [one.test for one in repository.select(Request((suite.name,))).tests]
        for suite in repository.project.suites
        if not suite.changed
    }
