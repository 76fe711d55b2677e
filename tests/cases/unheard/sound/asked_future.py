from concurrent.futures import ThreadPoolExecutor
def check():
    assert 1 == 2
def main():
    with ThreadPoolExecutor() as pool:
        one = pool.submit(check)
    try:
        one.result()
    except AssertionError:
        print('right')
    else:
        raise SystemExit(1)
if __name__ == "__main__":
    main()
