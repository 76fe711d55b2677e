"""What happens during a run, as it is told to whoever listens. Times are Unix timestamps (UTC)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """What happened, when, to which test.

    ``kind`` is run_started, queued, preparing, prepared, waiting, granted, started, output, ended, verdict,
    interrupted or run_ended; ``data`` holds what that kind adds, as values that JSON can hold.
    """

    kind: str
    at: float
    test_id: str = ""
    attempt: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)
