NUM_GPUS = 4

if __name__ == "__main__":
    print("trained")
