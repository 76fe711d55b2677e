"""Builds a tiny model, its tokenizer and the data set: fixed seeds, no download.

``python -m posttrain.task.assets DIRECTORY --family qwen3`` makes them once; a second call with the same sources
finds them made. ``--supervised-steps 50`` makes a model that knows the task: a teacher.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.metadata
import shutil
import tempfile
from pathlib import Path

from posttrain.families import FAMILIES

SEED = 1234
_PACKAGE = Path(__file__).parents[1]
_SOURCES = (
    "families.py",
    "mimo.py",
    "task/assets.py",
    "task/pictures.py",
    "task/problems.py",
    "task/supervised.py",
    "task/tokenizer.py",
)


def ensure(directory: Path, family: str = "qwen2.5", supervised_steps: int = 0) -> None:
    """Make ``directory/model`` and ``directory/train.jsonl``; several processes may call this at once."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with (directory.parent / f".{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = directory / "stamp"
        if stamp.is_file() and stamp.read_text() == _stamp(family, supervised_steps):
            return
        scratch = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}."))
        try:
            _build(scratch, family, supervised_steps)
            (scratch / stamp.name).write_text(_stamp(family, supervised_steps))
            shutil.rmtree(directory, ignore_errors=True)
            scratch.rename(directory)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _stamp(family: str, supervised_steps: int) -> str:
    sha = hashlib.sha256(f"{family} {supervised_steps} {importlib.metadata.version('transformers')}".encode())
    for name in _SOURCES:
        sha.update((_PACKAGE / name).read_bytes())
    return sha.hexdigest()


def _build(directory: Path, family: str, supervised_steps: int) -> None:
    # Imported here: finding the assets already made must not cost seconds.
    import torch
    from transformers import PreTrainedTokenizerFast
    from transformers.utils import logging

    from posttrain.model import model_class
    from posttrain.task.pictures import draw_problems
    from posttrain.task.problems import all_problems, write_problems
    from posttrain.task.supervised import teach
    from posttrain.task.tokenizer import EOS, PAD, build_tokenizer

    sees = FAMILIES[family].vision is not None
    problems = draw_problems(directory / "pictures") if sees else list(all_problems())
    tokenizer = build_tokenizer(problems)
    config = FAMILIES[family].config(
        vocab_size=tokenizer.get_vocab_size(),
        eos_token_id=tokenizer.token_to_id(EOS),
        bos_token_id=None,
    )
    logging.disable_progress_bar()
    torch.manual_seed(SEED)
    model = model_class(config).from_config(config)
    teach(model, tokenizer, problems, supervised_steps)
    path = directory / "model"
    model.save_pretrained(path)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=EOS, pad_token=PAD).save_pretrained(path)
    write_problems(directory / "train.jsonl", problems)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build a tiny model, its tokenizer and the data set.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--family", choices=FAMILIES, default="qwen2.5")
    parser.add_argument("--supervised-steps", type=int, default=0, help="train it on the answers for so long")
    options = parser.parse_args()
    ensure(options.directory, options.family, options.supervised_steps)
