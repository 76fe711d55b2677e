"""Keeps secrets out of what is shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

MASK = b"***"
# What every training repository has in its environment, and no log may show.
_SECRET_VARIABLES = ("WANDB_API_KEY", "HF_TOKEN")


def with_environment(secrets: Iterable[str], added: Mapping[str, str] | None = None) -> list[str]:
    """``secrets`` (one string is one), and the keys and tokens of the environment and of what is ``added``."""
    given = [secrets] if isinstance(secrets, str) else list(secrets)
    environments = (os.environ, added or {})
    return [*given, *(found[name] for found in environments for name in _SECRET_VARIABLES if name in found)]


class Redactor:
    """Replaces secrets in a stream of bytes, also when a read ends in the middle of one.

    Empty secrets are ignored: an unset variable read with a default of ``""`` must not mask everything.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        # The longest first, so that a secret that begins with another one is replaced whole.
        self._secrets = sorted({secret.encode() for secret in secrets if secret}, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, self._secrets)))
        self._pending = b""

    def feed(self, data: bytes) -> bytes:
        """What can be shown so far: all but an end that may turn out to begin a secret."""
        if not self._secrets:
            return data
        buffer = self._pending + data
        undecided = self._undecided_from(buffer)
        shown, position = [], 0
        for match in self._pattern.finditer(buffer):
            if match.start() >= undecided:
                break
            shown += [buffer[position : match.start()], MASK]
            position = match.end()
        shown.append(buffer[position:undecided])
        self._pending = buffer[max(position, undecided) :]
        return b"".join(shown)

    def flush(self) -> bytes:
        """The rest, once the stream has ended."""
        rest, self._pending = self._pending, b""
        return self._pattern.sub(MASK, rest) if self._secrets else rest

    def _undecided_from(self, buffer: bytes) -> int:
        """Where the longest end of ``buffer`` that is the beginning of a secret starts."""
        for start in range(max(0, len(buffer) - len(self._secrets[0]) + 1), len(buffer)):
            if any(secret.startswith(buffer[start:]) for secret in self._secrets):
                return start
        return len(buffer)


def redact(text: str, secrets: Iterable[str]) -> str:
    """``text`` with every secret replaced."""
    redactor = Redactor(secrets)
    return (redactor.feed(text.encode()) + redactor.flush()).decode()
