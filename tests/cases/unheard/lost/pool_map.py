import multiprocessing


def check(x):
    assert x == 1


def main():
    with multiprocessing.Pool(1) as pool:
        results = pool.map_async(check, [1, 2])
        results.wait()


if __name__ == "__main__":
    main()
