import os

NUM_GPUS = 2 * 8

if __name__ == "__main__":
    print("ran")
