"""A byte-level BPE tokenizer like Qwen2.5's, trained on the task alone, so that its vocabulary is tiny."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
from tokenizers.trainers import BpeTrainer

from posttrain.task.problems import Problem

PAD, EOS = "<pad>", "<eos>"

# Qwen2.5's split into words; each digit is a word of its own.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def build_tokenizer(problems: Iterable[Problem]) -> Tokenizer:
    """Every word of the problems becomes one token."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = Sequence(
        [
            Split(Regex(_WORDS), behavior="isolated"),
            ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = ByteLevelDecoder()
    texts = [f"{problem.question}\n{problem.answer}" for problem in problems]
    trainer = BpeTrainer(vocab_size=1000, special_tokens=[PAD, EOS], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
