import asyncio
import concurrent.futures
import gc
import multiprocessing.pool


def work(at):
    assert at == "home", at


def test_executor():
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(work, "executor")


def test_callback():
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(int).add_done_callback(lambda future: work("callback"))


def test_pool():
    with multiprocessing.pool.ThreadPool(1) as pool:
        pool.apply_async(work, ("pool",))
        pool.close()
        pool.join()


def test_process():
    process = multiprocessing.Process(target=work, args=("process",))
    process.start()
    process.join()


def test_spawned():
    process = multiprocessing.get_context("spawn").Process(target=work, args=("spawned",))
    process.start()
    process.join()


def test_task():
    async def job():
        work("task")

    async def main():
        asyncio.create_task(job())
        await asyncio.sleep(0)
        gc.collect()

    asyncio.run(main())
