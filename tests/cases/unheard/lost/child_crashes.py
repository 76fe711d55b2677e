import multiprocessing as mp, os, signal
def work():
    os.kill(os.getpid(), signal.SIGSEGV)
if __name__ == "__main__":
    p=mp.Process(target=work); p.start(); p.join()
