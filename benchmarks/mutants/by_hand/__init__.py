"""Faults that trainers really had, made in posttrain: what was wrong, where it was met, and how it is made.

A module for each family; its table is FAULTS.
"""

from __future__ import annotations

from benchmarks.mutants.by_hand import (
    architecture,
    assets,
    checkpoint,
    credit,
    fp8,
    importance,
    layout,
    loss,
    optimizer,
    options,
    places,
    sampling,
    smoke,
    sync,
    task,
    vision,
)

FAMILIES = {
    "architecture": architecture.FAULTS,
    "assets": assets.FAULTS,
    "checkpoint": checkpoint.FAULTS,
    "credit": credit.FAULTS,
    "fp8": fp8.FAULTS,
    "importance": importance.FAULTS,
    "layout": layout.FAULTS,
    "loss": loss.FAULTS,
    "optimizer": optimizer.FAULTS,
    "options": options.FAULTS,
    "places": places.FAULTS,
    "sampling": sampling.FAULTS,
    "smoke": smoke.FAULTS,
    "sync": sync.FAULTS,
    "task": task.FAULTS,
    "vision": vision.FAULTS,
}
