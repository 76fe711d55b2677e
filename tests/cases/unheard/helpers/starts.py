"""Starts programs that fail, and drops how they ended; in a file that no test's own text shows."""

import asyncio
import os
import subprocess
import sys


def exits(code):
    return [sys.executable, "helpers/exits.py", str(code)]


def run():
    subprocess.run(exits(2))


def print_what_it_was():
    print(subprocess.run(exits(3)))


def wait():
    subprocess.Popen(exits(4)).wait()


def poll():
    process = subprocess.Popen(exits(5))
    while process.poll() is None:
        pass


def call():
    subprocess.call(exits(6))


def by_system():
    os.system(f"cd . && {sys.executable} helpers/exits.py 7")


def by_shell():
    subprocess.run(f"X=1 {sys.executable} helpers/exits.py 8", shell=True)


def by_asyncio():
    async def main():
        process = await asyncio.create_subprocess_exec(*exits(9))
        await process.communicate()

    asyncio.run(main())


def crash():
    subprocess.run([sys.executable, "helpers/crashes.py"])


EACH = [run, print_what_it_was, wait, poll, call, by_system, by_shell, by_asyncio, crash]
