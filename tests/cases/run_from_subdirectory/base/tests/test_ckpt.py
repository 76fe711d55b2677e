NUM_GPUS = 8

if __name__ == "__main__":
    print("ran")
