"""Pictures."""

from __future__ import annotations

from benchmarks.mutants.by_hand.fault import Fault

_P = "posttrain"

FAULTS = [
    Fault(
        "blue comes first",
        "common",
        f"{_P}/vision.py",
        "picture.permute(2, 0, 1)",
        "picture.flip(2).permute(2, 0, 1)",
    ),
    Fault(
        "shades are not brought to 0 to 1",
        "common",
        f"{_P}/vision.py",
        "permute(2, 0, 1) / 255",
        "permute(2, 0, 1) / 1",
    ),
    Fault(
        "rows and columns are swapped",
        "huggingface/lerobot issue 3648",
        f"{_P}/vision.py",
        "(1, picture.shape[0] // patch, picture.shape[1] // patch)",
        "(1, picture.shape[1] // patch, picture.shape[0] // patch)",
    ),
    Fault(
        "positions know no pictures",
        "gty111/gLLM PR 115",
        f"{_P}/vision.py",
        '"position_ids": positions',
        '"position_ids": torch.arange(tokens.shape[1]).expand_as(positions)',
    ),
    Fault(
        "positions of pictures count the padding",
        "huggingface/trl issue 6401",
        f"{_P}/vision.py",
        "image_grid_thw=grid, attention_mask=attention_mask",
        "image_grid_thw=grid, attention_mask=None",
    ),
    Fault(
        "pictures of later micro-batches are those of the first",
        "common",
        f"{_P}/rollout/engine.py",
        "self._pictures[start : start + size]",
        "self._pictures[: len(self._tokens[start : start + size])]",
    ),
    Fault(
        "an answer may hold a token of a video",
        "common",
        f"{_P}/vision.py",
        "        config.image_token_id,\n        config.video_token_id,\n    ]",
        "        config.image_token_id,\n    ]",
    ),
    Fault(
        "bright squares are counted from the other end",
        "common",
        f"{_P}/task/pictures.py",
        'Problem("How many?", f"#### {count}"',
        'Problem("How many?", f"#### {COUNTS[-1] - count}"',
    ),
    Fault(
        "a picture stands behind its question",
        "common",
        f"{_P}/rollout/engine.py",
        "[*picture_tokens(self._model.config, sample.image), *text]",
        "[*text, *picture_tokens(self._model.config, sample.image)]",
    ),
    Fault(
        "deviations of colours are those of another order",
        "common",
        f"{_P}/vision.py",
        "_DEVIATION = (0.26862954, 0.26130258, 0.27577711)",
        "_DEVIATION = (0.27577711, 0.26130258, 0.26862954)",
    ),
    Fault(
        "a picture's end is not marked",
        "common",
        f"{_P}/vision.py",
        "* count, config.vision_end_token_id]",
        "* count, config.vision_start_token_id]",
    ),
]
