"""Where the pages are served, and by whom: one process, until it is interrupted."""

from __future__ import annotations

import socket
from collections.abc import Callable

from trainci.errors import MachineError, UsageError
from trainci.serve.guard import LOOPBACK

try:
    import uvicorn

    from trainci.serve.app import application
except ImportError:
    raise UsageError("trainci serve needs more than trainci itself: pip install 'trainci[serve]'") from None

from trainci.serve.views import Source


def serve(source: Source, host: str, port: int, token: str, say: Callable[[str], object]) -> None:
    """Answer on ``host`` and ``port`` (0: a free one) until interrupted; ``say`` is told the address to open.

    :raises UsageError: others reach ``host``, and there is no token.
    :raises MachineError: that address cannot be had.
    """
    only_here = host in LOOPBACK
    if not (only_here or token):
        raise UsageError(f"{host} can be reached by others: a token is needed.")
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise MachineError(
            f"{host}, port {port}: cannot listen there: {error.strerror}. Try another --port."
        ) from None
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listening.getsockname()[1]}/"
    say(f"{address}?token={token}" if token else address)
    config = uvicorn.Config(
        application(source, token, only_here, lambda: server.should_exit),
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
    )
    server = uvicorn.Server(config)
    with listening:
        server.run(sockets=[listening])
