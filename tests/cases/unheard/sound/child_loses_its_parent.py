import multiprocessing as mp
def work(end, other):
    other.close()
    while True: end.recv()
if __name__ == "__main__":
    here, there = mp.Pipe()
    p = mp.Process(target=work, args=(there, here)); p.start()
    there.close(); here.send(1); here.close()
    p.join()
