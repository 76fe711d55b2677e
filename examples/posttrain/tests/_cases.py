"""``torchrun … tests/_cases.py FILE``: trains the command lines in FILE one after the other, each in a fork."""

import importlib
import json
import os
import sys
from functools import partial
from pathlib import Path


def train_in_fork(case, meet_at):
    from posttrain.arguments import parse_args
    from posttrain.distributed import process_group
    from posttrain.trainer import train

    os.environ.update(case["environment"])
    with process_group(meet_at) as device:
        train(parse_args(case["command"]), device)


if __name__ == "__main__":
    from _layouts import in_forks

    file = Path(sys.argv[1])
    cases = json.loads(file.read_text())
    engine = "megatron.backend" if "megatron" in cases[0]["command"] else "fsdp"
    importlib.import_module(f"posttrain.backends.{engine}")  # once for all forks
    in_forks(file, [partial(train_in_fork, case) for case in cases])
