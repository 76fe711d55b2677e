"""Supervised training on the answers, for a teacher that knows the task."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer

from posttrain.task.problems import Problem
from posttrain.task.tokenizer import EOS

LEARNING_RATE = 5e-3


def teach(model: torch.nn.Module, tokenizer: Tokenizer, problems: list[Problem], steps: int) -> None:
    """Make the last line of each problem's answer likelier, in place: ``steps`` updates on all of them."""
    rows, labels = [], []
    for problem in problems:
        prompt = tokenizer.encode(problem.question).ids
        response = tokenizer.encode(problem.answer.splitlines()[-1] + EOS).ids
        rows.append(torch.tensor(prompt + response))
        labels.append(torch.tensor([-100] * len(prompt) + response))  # -100: cross entropy leaves it out
    tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    targets = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=-100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0)
    for _ in range(steps):
        logits = model(tokens, use_cache=False).logits
        torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), targets[:, 1:].flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()
