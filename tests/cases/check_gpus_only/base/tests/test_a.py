"""Too long for a CPU."""

NUM_GPUS = 8
REQUIRES_GPU = True

if __name__ == "__main__":
    print("ran")
