"""Survivors that were read and found to change nothing, and why."""

from __future__ import annotations

EQUIVALENT = {
    ("posttrain/vision.py", "positions count the padding"): (
        "rotary embeddings know distances alone: a row whose positions are all shifted alike gives the same logits"
    ),
    ("posttrain/rollout/distillation.py", "line 71: 1000 → 1001"): (
        "how much is quoted of what a teacher says when it refuses"
    ),
    ("posttrain/rollout/teacher.py", "line 116: self.send_header('Content-Type', 'application/json') → pass"): (
        "neither the client here nor sglang's own reads the type of a reply"
    ),
}
"""By file and by what was changed."""
