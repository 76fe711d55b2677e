import multiprocessing


def check(x):
    assert x == 1


def main():
    with multiprocessing.Pool(1) as pool:
        results = pool.imap(check, [1, 2])
        print(results)
        pool.close()
        pool.join()


if __name__ == "__main__":
    main()
