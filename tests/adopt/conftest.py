"""The repositories in ``shapes`` are input, not tests of this one."""

from __future__ import annotations

collect_ignore = ["shapes"]
