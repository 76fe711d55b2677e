import multiprocessing as mp, sys
def work():
    print('loss is nan'); sys.exit(1)
if __name__ == "__main__":
    ps=[mp.Process(target=work) for _ in range(2)]
    for p in ps: p.start()
    for p in ps: p.join()
    print('done')
