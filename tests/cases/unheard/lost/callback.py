import concurrent.futures


def check(future):
    assert future.result() == 2


if __name__ == "__main__":
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(int).add_done_callback(check)
