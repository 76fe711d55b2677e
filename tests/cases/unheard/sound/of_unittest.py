import asyncio
import concurrent.futures
import contextlib
import io
import logging
import multiprocessing
import queue
import threading
import unittest
from unittest import mock


def work(at):
    assert at == "home", at


def run(target, *arguments):
    thread = threading.Thread(target=target, args=arguments)
    thread.start()
    thread.join()


class Test(unittest.TestCase):
    def test_it_is_handed_over(self):
        errors = queue.Queue()

        def hands_over():
            try:
                work("thread")
            except AssertionError as error:
                errors.put(error)

        run(hands_over)
        self.assertIsInstance(errors.get(timeout=10), AssertionError)

    def test_it_is_logged_and_gone_over(self):
        def recovers():
            try:
                work("thread")
            except AssertionError:
                logging.exception("once more")
            work("home")

        run(recovers)

    def test_a_hook_of_its_own(self):
        with mock.patch.object(threading, "excepthook") as hook:
            run(work, "hooked")
        hook.assert_called_once()

    def test_its_words_are_read(self):
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            run(work, "said")
        self.assertIn("Traceback", said.getvalue())

    def test_the_result_is_asked_for(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            futures = [pool.submit(work, at) for at in ("a", "b", "c")]
            with self.assertRaises(AssertionError):
                [future.result() for future in futures]

    def test_a_process_is_asked(self):
        process = multiprocessing.Process(target=work, args=("process",))
        process.start()
        process.join()
        self.assertEqual(process.exitcode, 1)

    @unittest.expectedFailure
    def test_that_fails_itself(self):
        run(work, "thread")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            pool.submit(work, "executor")
        process = multiprocessing.Process(target=work, args=("process",))
        process.start()
        process.join()
        self.fail("none of them came home")


class TestOfTasks(unittest.IsolatedAsyncioTestCase):
    async def test_a_task_is_awaited(self):
        async def job():
            work("task")

        with self.assertRaises(AssertionError):
            await asyncio.create_task(job())

    async def test_a_loop_has_a_handler(self):
        heard = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context["exception"]))
        asyncio.get_running_loop().call_soon(work, "callback")
        await asyncio.sleep(0)
        self.assertEqual(len(heard), 1)


if __name__ == "__main__":
    unittest.main()
