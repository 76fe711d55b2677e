import tests._middle
NUM_GPUS = 2

if __name__ == "__main__":
    print("ran")
