"""Precision: ``test_parallel_check.py`` on 8 devices, whose layouts combine three kinds of parallelism with data's.

38 trainings on 8 ranks: too long for a CPU.
"""

import _parallel_check

from trainci.testing import main

NUM_GPUS = 8
REQUIRES_GPU = True

if __name__ == "__main__":
    main(*_parallel_check.phases(NUM_GPUS, least_rows=36))
