NUM_GPUS = 4 if X else 8

if __name__ == "__main__":
    print("ran")
