"""The models, tokenizers and teachers that the tests are made of."""

from __future__ import annotations

from benchmarks.mutants.by_hand.fault import Fault

_P = "posttrain"

FAULTS = [
    Fault(
        "a teacher learns prompts, too",
        "huggingface/trl issue 3279",
        f"{_P}/task/supervised.py",
        "[-100] * len(prompt) + response",
        "prompt + response",
    ),
    Fault(
        "a teacher does not learn where to end",
        "huggingface/trl issue 1623",
        f"{_P}/task/supervised.py",
        "problem.answer.splitlines()[-1] + EOS",
        "problem.answer.splitlines()[-1]",
    ),
    Fault(
        "a teacher learns to repeat tokens",
        "common",
        f"{_P}/task/supervised.py",
        "logits[:, :-1].flatten(0, 1), targets[:, 1:].flatten()",
        "logits.flatten(0, 1), targets.flatten()",
    ),
    Fault(
        "a teacher learns padding",
        "huggingface/trl issue 3021",
        f"{_P}/task/supervised.py",
        "labels, batch_first=True, padding_value=-100",
        "labels, batch_first=True, padding_value=0",
    ),
    Fault(
        "gradients of a teacher pile up",
        "common",
        f"{_P}/task/supervised.py",
        "        optimizer.step()\n        optimizer.zero_grad()",
        "        optimizer.step()",
    ),
    Fault(
        "a number is one word",
        "common",
        f"{_P}/task/tokenizer.py",
        "|\\p{N}|",
        "|\\p{N}+|",
    ),
    Fault(
        "models outlive the tokenizer that they were made by",
        "common",
        f"{_P}/task/assets.py",
        '    "task/tokenizer.py",\n',
        "",
    ),
    Fault(
        "a model is not made by its seed",
        "common",
        f"{_P}/task/assets.py",
        "    torch.manual_seed(SEED)\n",
        "",
    ),
]
