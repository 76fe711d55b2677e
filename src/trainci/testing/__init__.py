"""What a test file of a training repository imports: plain Python, no torch, nothing of trainci's CI side.

A test file defines ``NUM_GPUS``, ``prepare()`` (downloads and conversions) and ``execute()`` (the training and
its assertions), and ends in::

    if __name__ == "__main__":
        main(prepare, execute)
"""

from __future__ import annotations

from trainci.testing.checkpoints import assert_checkpoints_equal, compare_checkpoints
from trainci.testing.commands import CommandError, exec_command
from trainci.testing.conversions import convert_checkpoint
from trainci.testing.downloads import download_dataset, download_model
from trainci.testing.metrics import record_metric
from trainci.testing.numerics import assert_close
from trainci.testing.phases import main
from trainci.testing.tracking import tracking_args
from trainci.testing.train import execute_train

__all__ = [
    "CommandError",
    "assert_checkpoints_equal",
    "assert_close",
    "compare_checkpoints",
    "convert_checkpoint",
    "download_dataset",
    "download_model",
    "exec_command",
    "execute_train",
    "main",
    "record_metric",
    "tracking_args",
]
