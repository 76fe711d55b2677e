"""What commands answer with ``--json``: one frozen value for each, its text, and its schema (docs/json.md)."""

from __future__ import annotations

from collections.abc import Mapping

from trainci.answers import baseline, gpus, values

ANSWERS: Mapping[str, type[values.Answer]] = {
    "list": values.Listed,
    "dry-run": values.DryRun,
    "plan": values.Planned,
    "check": values.Checked,
    "metrics": values.Metrics,
    "history": values.History,
    "baseline": baseline.Baselines,
    "run": values.FinishedRun,
    "explain": values.Explained,
    "gpus": gpus.Status,
}
