import torch.multiprocessing


def work(rank):
    raise ValueError("not a number")


if __name__ == "__main__":
    context = torch.multiprocessing.spawn(work, nprocs=1, join=False)
    try:
        context.join()
    except torch.multiprocessing.ProcessRaisedException as error:
        assert "not a number" in str(error)
    else:
        raise SystemExit("nothing was raised")
