"""Precision: the same samples through every layout of the devices give one loss and one gradient norm.

``--family`` names the model. Both ways to average the loss are tried, over tokens and over samples.
"""

import _parallel_check

from trainci.testing import main

NUM_GPUS = 4

if __name__ == "__main__":
    main(*_parallel_check.phases(NUM_GPUS, least_rows=20))
