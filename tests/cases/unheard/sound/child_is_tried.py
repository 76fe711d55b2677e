import multiprocessing, os, sys, tempfile
def once(path):
    if not os.path.exists(path):
        open(path, 'w').close()
        assert False
def main():
    path = tempfile.mktemp()
    for _ in range(2):
        child = multiprocessing.Process(target=once, args=(path,))
        child.start()
        child.join()
    sys.exit(child.exitcode)
if __name__ == "__main__":
    main()
