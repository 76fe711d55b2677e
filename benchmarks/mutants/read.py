"""Survivors that were read and found to change nothing, and why."""

from __future__ import annotations

EQUIVALENT = {
    ("posttrain/vision.py", "positions count the padding"): (
        "rotary embeddings know distances alone: a row whose positions are all shifted alike gives the same logits"
    ),
    ("posttrain/rollout/distillation.py", "line 44: True → False"): (
        "the lines before compare the answers with what was asked, and so their number"
    ),
}
"""By file and by what was changed."""
