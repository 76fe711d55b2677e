import asyncio
import concurrent.futures
import gc
import multiprocessing
import threading
import unittest


def work(at):
    assert at == "home", at


class Test(unittest.TestCase):
    def test_thread(self):
        thread = threading.Thread(target=work, args=("thread",))
        thread.start()
        thread.join()

    def test_method_of_a_test(self):
        thread = threading.Thread(target=lambda: self.assertEqual(1, 2))
        thread.start()
        thread.join()

    def test_executor(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            pool.submit(work, "executor")

    def test_callback(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            pool.submit(int).add_done_callback(lambda future: work("callback"))

    def test_process(self):
        process = multiprocessing.Process(target=work, args=("process",))
        process.start()
        process.join()

    def test_finalizer(self):
        class Kept:
            def __del__(self):
                work("finalizer")

        Kept()


class TestOfTasks(unittest.IsolatedAsyncioTestCase):
    async def test_task(self):
        async def job():
            work("task")

        asyncio.create_task(job())
        await asyncio.sleep(0)
        gc.collect()


if __name__ == "__main__":
    unittest.main()
