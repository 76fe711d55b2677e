NUM_GPUS = 1
def (:
