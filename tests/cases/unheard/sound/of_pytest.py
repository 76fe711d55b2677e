import asyncio
import concurrent.futures
import multiprocessing
import sys
import threading

import pytest


def work(at):
    assert at == "home", at


def test_the_result_is_asked_for():
    with concurrent.futures.ThreadPoolExecutor() as pool:
        futures = [pool.submit(work, at) for at in ("a", "b", "c")]
        with pytest.raises(AssertionError):
            [future.result() for future in futures]


def test_a_result_that_is_waited_for():
    with concurrent.futures.ThreadPoolExecutor() as pool:
        done, _ = concurrent.futures.wait([pool.submit(work, "a")])
    assert [str(future.exception()) for future in done] == ["a\nassert 'a' == 'home'\n  \n  - home\n  + a"]


def test_a_callback_that_asks():
    failed = []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(work, "a").add_done_callback(lambda future: failed.append(future.exception()))
    assert len(failed) == 1


def test_an_exit_is_looked_at():
    with pytest.raises(SystemExit):
        sys.exit(256)


def test_a_spawned_process_is_asked():
    process = multiprocessing.get_context("spawn").Process(target=work, args=("process",))
    process.start()
    process.join()
    assert process.exitcode == 1


def test_a_process_is_asked():
    process = multiprocessing.Process(target=work, args=("process",))
    process.start()
    process.join()
    assert process.exitcode == 1


def test_a_loop_has_a_handler():
    heard = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context["exception"]))
        asyncio.get_running_loop().call_soon(work, "callback")
        await asyncio.sleep(0)

    asyncio.run(main())
    assert len(heard) == 1


@pytest.mark.xfail
def test_that_fails_itself():
    thread = threading.Thread(target=work, args=("thread",))
    thread.start()
    thread.join()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(work, "executor")
    process = multiprocessing.Process(target=work, args=("process",))
    process.start()
    process.join()
    raise ValueError("none of them came home")
