"""``torchrun … tests/_cases.py FILE``: trains the command lines in FILE one after the other, each in a fork."""

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
    sys.path[0] = str(Path.cwd())
    import posttrain.backends.fsdp
    import posttrain.backends.megatron.backend  # noqa: F401  once for all forks
    from posttrain.parallel_check import in_forks

    file = Path(sys.argv[1])
    in_forks(file, [partial(train_in_fork, case) for case in json.loads(file.read_text())])
