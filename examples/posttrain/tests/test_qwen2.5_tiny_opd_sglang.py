"""On-policy distillation from a teacher that is served as sglang serves one."""

import _shared
import _teacher

from trainci.testing import main

NUM_GPUS = 2
BACKEND = "megatron"
TEACHER = "qwen3"


def prepare():
    _shared.prepare()
    _teacher.prepare(TEACHER)


def execute():
    with _teacher.served(TEACHER) as url:
        arguments = ["--backend", BACKEND, "--advantage-estimator", "opd", "--teacher-url", url]
        teacher = _teacher.checkpoint(TEACHER)
        rows = _shared.train(*arguments, "--max-new-tokens", "4", num_gpus=NUM_GPUS, held=2, teacher=teacher)
    _shared.assert_sound(rows, NUM_GPUS)
    _teacher.assert_reverse_kl_falls(rows, NUM_GPUS, above=1.0, to=2.5)


if __name__ == "__main__":
    main(prepare, execute)
