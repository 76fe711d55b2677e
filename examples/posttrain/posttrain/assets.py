"""Builds the tiny model, its tokenizer and the data set: fixed seeds, no download.

``python -m posttrain.assets DIRECTORY`` makes them once; a second call with the same sources finds them made.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.metadata
import shutil
import tempfile
from pathlib import Path

SEED = 1234
_SOURCES = ("assets.py", "task.py", "tokenizer.py")


def ensure(directory: Path) -> None:
    """Make ``directory/model`` and ``directory/train.jsonl``; several processes may call this at once."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with (directory.parent / f".{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = directory / "stamp"
        if stamp.is_file() and stamp.read_text() == _stamp():
            return
        scratch = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}."))
        try:
            _build(scratch)
            (scratch / stamp.name).write_text(_stamp())
            shutil.rmtree(directory, ignore_errors=True)
            scratch.rename(directory)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _stamp() -> str:
    sha = hashlib.sha256(importlib.metadata.version("transformers").encode())
    for name in _SOURCES:
        sha.update(Path(__file__).with_name(name).read_bytes())
    return sha.hexdigest()


def _build(directory: Path) -> None:
    # Imported here: finding the assets already made must not cost seconds.
    import torch
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
    from transformers.utils import logging

    from posttrain.task import all_problems, write_problems
    from posttrain.tokenizer import EOS, PAD, build_tokenizer

    tokenizer = build_tokenizer()
    config = Qwen2Config(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.1,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.token_to_id(EOS),
        pad_token_id=tokenizer.token_to_id(PAD),
        bos_token_id=None,
    )
    logging.disable_progress_bar()
    torch.manual_seed(SEED)
    model = directory / "model"
    Qwen2ForCausalLM(config).save_pretrained(model)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=EOS, pad_token=PAD).save_pretrained(model)
    write_problems(directory / "train.jsonl", list(all_problems()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build the tiny model, its tokenizer and the data set.")
    parser.add_argument("directory", type=Path)
    ensure(parser.parse_args().directory)
