from concurrent.futures import ThreadPoolExecutor
def check():
    assert 1 == 2
if __name__ == "__main__":
    with ThreadPoolExecutor() as pool:
        pool.submit(check)
