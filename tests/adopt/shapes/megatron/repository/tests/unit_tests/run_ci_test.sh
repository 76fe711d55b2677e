# NUM_GPUS = 8
torchrun --nproc_per_node 8 -m pytest "$2"
