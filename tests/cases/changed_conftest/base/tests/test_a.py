NUM_GPUS = 1

if __name__ == "__main__":
    print("ran")
