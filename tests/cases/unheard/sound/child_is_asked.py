import multiprocessing
def check():
    assert 1 == 2
def main():
    child = multiprocessing.Process(target=check)
    child.start()
    child.join()
    assert child.exitcode == 1
if __name__ == "__main__":
    main()
