import multiprocessing


def check(x):
    assert x < 2
    return x


def main():
    with multiprocessing.Pool(1) as pool:
        results = []
        try:
            for result in pool.imap(check, [0, 1, 2]):
                results.append(result)
        except AssertionError:
            results.append(-1)
    assert results == [0, 1, -1], results


if __name__ == "__main__":
    main()
