"""Pictures, in the form that the models of Qwen2-VL and Qwen2.5-VL take them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from posttrain.arguments import BadArguments

# Of CLIP's training data, which Qwen2-VL's processor normalises with.
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION = (0.26862954, 0.26130258, 0.27577711)


def picture_tokens(config: PretrainedConfig, path: str) -> list[int]:
    """What stands for a picture in a prompt: a token for each square of merged patches, between start and end."""
    patches, _ = _patches_of(path, config.vision_config)
    count = len(patches) // config.vision_config.spatial_merge_size**2
    return [config.vision_start_token_id, *[config.image_token_id] * count, config.vision_end_token_id]


def model_inputs(
    model: PreTrainedModel, tokens: Tensor, pictures: Sequence[str], attention_mask: Tensor | None = None
) -> dict[str, Tensor]:
    """Positions for ``tokens``, [b, S], and the patches of ``pictures``: one for each row, or none at all.

    With pictures a position has three parts (time, row, column), which text counts up together: section 2.1 of
    Wang et al. 2024 (arXiv:2409.12191).
    """
    if not pictures:
        places = torch.ones_like(tokens) if attention_mask is None else attention_mask
        return {"position_ids": (places.cumsum(dim=1) - 1).clamp(min=0)}
    patches, grids = zip(*(_patches_of(path, model.config.vision_config) for path in pictures), strict=True)
    grid = torch.tensor(grids, device=tokens.device)
    is_picture = (tokens == model.config.image_token_id).int()
    positions, _ = model.base_model.get_rope_index(
        tokens, mm_token_type_ids=is_picture, image_grid_thw=grid, attention_mask=attention_mask
    )
    return {
        "pixel_values": torch.cat(patches).to(tokens.device),
        "image_grid_thw": grid,
        "position_ids": positions,
    }


def patchify(picture: Tensor, *, patch: int, merge: int, frames: int) -> Tensor:
    """[height, width, 3] of 0 to 255 → [patches, 3 · frames · patch · patch], as Qwen2VLImageProcessor does.

    Patches that the model will merge stand side by side: first a square of merge × merge patches, then the one to
    the right of it. Within a patch the order is colour, frame (a still picture repeats itself), row, column.
    """
    mean, deviation = (torch.tensor(numbers).view(3, 1, 1) for numbers in (_MEAN, _DEVIATION))
    colours = (picture.permute(2, 0, 1) / 255 - mean) / deviation
    rows, columns = (size // (patch * merge) for size in picture.shape[:2])
    parts = colours.view(3, rows, merge, patch, columns, merge, patch).permute(1, 4, 2, 5, 0, 3, 6)
    return parts.unsqueeze(5).expand(-1, -1, -1, -1, -1, frames, -1, -1).flatten(0, 3).flatten(1)


def answer_in_text(model: PreTrainedModel) -> None:
    """Keep the tokens that stand for pictures out of answers, where no picture follows; other models have none."""
    config = model.config
    if not hasattr(config, "vision_config"):
        return
    numbers = [
        config.vision_start_token_id,
        config.vision_end_token_id,
        config.image_token_id,
        config.video_token_id,
    ]

    def forbid(_model: torch.nn.Module, _inputs: Any, output: Any) -> Any:
        output.logits = output.logits.index_fill(-1, torch.tensor(numbers, device=output.logits.device), -torch.inf)
        return output

    model.register_forward_hook(forbid)


def _patches_of(path: str, vision: PretrainedConfig) -> tuple[Tensor, tuple[int, int, int]]:
    return _read(path, vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size)


@lru_cache(maxsize=1024)
def _read(path: str, patch: int, merge: int, frames: int) -> tuple[Tensor, tuple[int, int, int]]:
    """The patches of a picture and their numbers in time, rows and columns."""
    try:
        picture = np.load(path)
    except (OSError, ValueError) as error:
        raise BadArguments(f"cannot read the picture {path} as a .npy file: {error}") from error
    unit = patch * merge
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.shape[0] % unit or picture.shape[1] % unit:
        raise BadArguments(
            f"the picture {path} is {picture.shape}: it must be height, width and 3, in multiples of {unit} pixels"
        )
    grid = (1, picture.shape[0] // patch, picture.shape[1] // patch)
    return patchify(torch.from_numpy(picture), patch=patch, merge=merge, frames=frames), grid
