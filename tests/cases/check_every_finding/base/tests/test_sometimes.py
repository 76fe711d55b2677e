BIG = True
NUM_GPUS = 4 if BIG else 8

if __name__ == "__main__":
    print("ran")
