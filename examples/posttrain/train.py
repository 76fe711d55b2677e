"""``torchrun --nproc-per-node N train.py …``: one GRPO training run."""

import sys

if __name__ == "__main__":
    # Down here, for the helper processes of Megatron's saves: each imports this file, and needs nothing of it.
    from posttrain.arguments import BadArguments, parse_args
    from posttrain.distributed import process_group
    from posttrain.trainer import train

    config = parse_args()
    try:
        with process_group() as device:
            train(config, device)
    except BadArguments as error:
        # Every rank says it: which of them torchrun quotes is not known.
        sys.stderr.write(f"train.py: error: {error}\n")
        sys.exit(2)
