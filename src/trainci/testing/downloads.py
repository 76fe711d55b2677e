"""``download_model`` and ``download_dataset``: what a test needs of the Hugging Face Hub, fetched once per host."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainci.errors import MachineError, UsageError
from trainci.testing.asked_wait import TOO_MANY_REQUESTS, asked_wait
from trainci.testing.host_lock import host_lock
from trainci.testing.hub_cache import Damaged, RepoCache

TRIES = 6
"""How often a download is begun before the machine is at fault."""
LONGEST_WAIT_S = 3600.0
"""How long the Hub may ask to be left alone where the test has no time limit."""
_TRANSPORT = ("httpx", "httpx2", "requests", "urllib3")
# A request that is as wrong the next time.
_REFUSED = (400, 401, 403, 404, 410)


def download_model(
    repo_id: str,
    *,
    revision: str = "main",
    allow_patterns: Sequence[str] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """The directory of a model such as ``"Qwen/Qwen2.5-0.5B-Instruct"``, downloaded if it is not in the cache.

    However many tests ask at once, one process of the host downloads, and the others wait for it; when it is
    killed, the next one goes on with the file that it was at. They go to the cache of huggingface_hub, which
    ``HF_HOME`` names, from ``HF_ENDPOINT`` if that is set; each is compared with the hash that the Hub names it by.

    After 429, 5xx, a broken connection or a damaged file it is tried again, TRIES times in all, waiting as long as
    the Hub asks, such as until the rate limit is over, else 2, 4, 8, … seconds; ``sleep`` is called with the
    seconds. A wait is not begun that is longer than what the test's time limit leaves, or LONGEST_WAIT_S where it
    has none. With ``HF_HUB_OFFLINE=1`` the cache has to hold it. ``allow_patterns`` are globs of the files that are
    wanted.

    :raises MachineError: it could not be had, which is no fault of the test: ``main`` then exits with 3.
    :raises UsageError: there is no such model or revision, or no access to it, or huggingface_hub is not installed.
    """
    return _download("model", repo_id, revision, allow_patterns, sleep)


def download_dataset(
    repo_id: str,
    *,
    revision: str = "main",
    allow_patterns: Sequence[str] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """The directory of a dataset such as ``"openai/gsm8k"``; otherwise as ``download_model``."""
    return _download("dataset", repo_id, revision, allow_patterns, sleep)


def _download(
    kind: str, repo_id: str, revision: str, allow_patterns: Sequence[str] | None, sleep: Callable[[float], None]
) -> Path:
    try:
        from huggingface_hub import constants, snapshot_download
    except ImportError:
        raise UsageError(f"download_{kind}: huggingface_hub is missing: pip install 'trainci[hub]'") from None
    what = f"{kind} {repo_id}@{revision}"
    patterns = None if allow_patterns is None else list(allow_patterns)
    cache = RepoCache(Path(constants.HF_HUB_CACHE), kind, repo_id)
    with host_lock(cache.lock, what), _obeying_limits():
        for attempt in range(1, TRIES + 1):
            try:
                cache.remove_leftovers(time.time())
                snapshot = Path(
                    snapshot_download(repo_id, repo_type=kind, revision=revision, allow_patterns=patterns)
                )
                cache.verify(snapshot)
                return snapshot
            except Exception as error:
                asked = _asked_wait(error)
                fault = _final(error, what, bool(constants.HF_HUB_OFFLINE), attempt) or _too_long(
                    error, what, asked
                )
                if fault is not None:
                    raise fault from error
                wait = asked or 2.0**attempt
                limited = asked is not None and _status(error) == TOO_MANY_REQUESTS
                then = (
                    f"waiting {wait:g} s, until the rate limit is over"
                    if limited
                    else f"trying again in {wait:g} s"
                )
                print(f"{what}: {_first_line(error)}; {then}", flush=True)  # noqa: T201
                sleep(wait)
    raise AssertionError("the last try ends in one way or the other")


class _AsksTooLong(OSError):
    """The Hub asks for a longer wait than there is time for."""

    def __init__(self, response: Any) -> None:
        super().__init__(f"{response.status_code} for {response.url}")
        self.response = response


@contextmanager
def _obeying_limits() -> Iterator[None]:
    """Within it, the library does not begin a wait that is too long: of some answers it waits by itself."""
    from huggingface_hub import get_session

    def refuse(response: Any) -> None:
        if _too_long_for(asked_wait(response.status_code, response.headers, time.time())):
            raise _AsksTooLong(response)

    client = get_session()
    # Before its version 1 it did not wait by itself, and its client had no such hooks.
    hooks = getattr(client, "event_hooks", {"response": []})
    client.event_hooks = {**hooks, "response": [*hooks["response"], refuse]}
    try:
        yield
    finally:
        client.event_hooks = hooks


def _final(error: Exception, what: str, offline: bool, attempt: int) -> Exception | None:
    """What is raised for an error of the download, or None to try again. Our own faults are raised as they are."""
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        return UsageError(f"{what}: {_first_line(error)}")
    transport = type(error).__module__.partition(".")[0] in _TRANSPORT
    if not (transport or isinstance(error, (OSError, Damaged))):
        return error
    status = _status(error)
    if status in _REFUSED:
        return UsageError(
            f"{what}: the Hub answers {status}: {_first_line(error)}. Look at the name and the revision; a private "
            "or gated repository needs a token that may read it in HF_TOKEN."
        )
    if offline:
        return MachineError(
            f"{what}: is not in the cache, or not all of it, and HF_HUB_OFFLINE is set. Unset it, or fill the "
            "cache with the same call where there is a network."
        )
    if attempt == TRIES or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
        return MachineError(f"{what}: cannot be downloaded (try {attempt} of {TRIES}): {_first_line(error)}")
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _response(error: Exception) -> Any:
    found = (getattr(link, "response", None) for link in _chain(error))
    return next((response for response in found if response is not None), None)


def _status(error: Exception) -> int | None:
    response = _response(error)
    return None if response is None else int(response.status_code)


def _asked_wait(error: Exception) -> float | None:
    response = _response(error)
    return None if response is None else asked_wait(response.status_code, response.headers, time.time())


def _too_long(error: Exception, what: str, wait: float | None) -> MachineError | None:
    """What is raised where the Hub asks for a longer wait than there is time for."""
    limit = _too_long_for(wait)
    if not limit:
        return None
    return MachineError(
        f"{what}: the Hub asks to be asked again in {wait:.0f} s, and {limit}: {_first_line(error)}. "
        "A token in HF_TOKEN raises its rate limit."
    )


def _too_long_for(wait: float | None) -> str:
    """Which limit does not leave so many seconds; empty where they are left."""
    # On the clock of time.monotonic(), which the lease that tells it has in common with its test.
    deadline = os.environ.get("TRAINCI_DEADLINE")
    left = float(deadline) - time.monotonic() if deadline else LONGEST_WAIT_S
    if wait is None or wait < left:
        return ""
    return f"the test's time limit leaves {max(left, 0):.0f} s" if deadline else f"the longest wait is {left:g} s"


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
