import multiprocessing


def check():
    assert 1 == 2


def main():
    with multiprocessing.Pool(1) as pool:
        results = [pool.apply_async(check)]
        pool.close()
        pool.join()
        return results


if __name__ == "__main__":
    main()
