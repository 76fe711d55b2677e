import multiprocessing as mp, sys
def work():
    sys.exit(1)
if __name__ == "__main__":
    mp.set_start_method('forkserver')
    ps=[mp.Process(target=work) for _ in range(2)]
    for p in ps: p.start()
    for p in ps: p.join()
