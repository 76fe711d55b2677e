"""``torchrun --nproc-per-node N parallel_check.py …``: the options of train.py, apart from those of the layout."""

from posttrain.arguments import parse_args
from posttrain.parallel_check import check

if __name__ == "__main__":
    check(parse_args())
