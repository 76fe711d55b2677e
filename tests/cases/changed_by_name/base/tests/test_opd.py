NUM_GPUS = 0

if __name__ == "__main__":
    print("ran")
