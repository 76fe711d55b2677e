"""MiMo on Megatron: the loss of its multi-token-prediction layers moves them, and nothing else."""

import _shared

from trainci.testing import main

NUM_GPUS = 1


def prepare():
    _shared.prepare("mimo")


def execute():
    run = {"num_gpus": NUM_GPUS, "family": "mimo", "num_steps": 6}
    # The norm is taken over all gradients: clipping would let the MTP layers' own slow the others down.
    options = ["--backend", "megatron", "--max-grad-norm", "1e9", *_shared.DENSE_REWARD]
    without = _shared.train(*options, **run)
    rows = _shared.train(*options, "--mtp-loss-weight", "0.5", held=2, **run)
    _shared.assert_losses_finite(rows)
    _shared.assert_log_probs_agree(rows[1:], tolerance=1e-4)
    assert rows[-1]["mtp_loss"] < rows[1]["mtp_loss"] - 0.1, (
        f"the loss of the MTP layers went from {rows[1]['mtp_loss']:.3f} to {rows[-1]['mtp_loss']:.3f}"
    )
    for theirs, ours in zip(without, rows, strict=True):
        step = ours["step"]
        assert ours["trunk"] == theirs["trunk"], f"the MTP loss moved weights outside its layers by step {step}"
        assert step == 0 or ours["mtp_layers"] != rows[0]["mtp_layers"], (
            f"the MTP layers stood still at step {step}"
        )


if __name__ == "__main__":
    main(prepare, execute)
