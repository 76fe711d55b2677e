import torch.multiprocessing


def work(rank):
    raise ValueError("not a number")


if __name__ == "__main__":
    torch.multiprocessing.spawn(work, nprocs=1, join=False)
