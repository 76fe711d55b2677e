"""``torchrun --nproc-per-node N parallel_check.py …``: the options of train.py, apart from those of the layout."""

from posttrain.arguments import parse_args
from posttrain.distributed import process_group
from posttrain.parallel_check import check

if __name__ == "__main__":
    config = parse_args()
    with process_group() as device:
        check(config, device)
