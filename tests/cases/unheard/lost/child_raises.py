import multiprocessing as mp
def work():
    raise ValueError('bad loss')
if __name__ == "__main__":
    p=mp.Process(target=work); p.start(); p.join()
