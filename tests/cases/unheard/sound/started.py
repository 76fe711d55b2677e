import asyncio
import os
import signal
import subprocess
import sys

P = [sys.executable, "helpers/exits.py", "1"]
WAITS = [sys.executable, "helpers/waits.py"]



def asks():
    codes = [subprocess.run(P).returncode, subprocess.call(P), os.system("false; python helpers/exits.py 0")]
    process = subprocess.Popen(P)
    process.communicate()
    codes.append(process.wait())
    with subprocess.Popen(P) as process:
        pass
    codes.append(process.returncode)
    give = lambda: subprocess.call(P)
    print(max(*codes, gives(), give()))


def gives():
    return subprocess.call(P)


async def gives_later(process):
    return await process.wait()


def checks():
    for start in (subprocess.check_call, subprocess.check_output, lambda words: subprocess.run(words).check_returncode()):
        try:
            start(P)
        except subprocess.CalledProcessError as error:
            assert error.returncode < 2


def is_tried_again():
    for _ in range(2):
        subprocess.run([sys.executable, "helpers/exits_once.py"])


async def awaits():
    process = await asyncio.create_subprocess_exec(*P)
    codes = [await asyncio.wait_for(process.wait(), 30)]
    process = await asyncio.create_subprocess_exec(*P)
    await process.communicate()
    codes.append(process.returncode)
    codes += await asyncio.gather(gives_later(await asyncio.create_subprocess_exec(*P)))
    print(max(codes))


def cleans_up():
    subprocess.run("pkill -9 of_that_name_is_none", shell=True)
    subprocess.run(["rm", "of_that_name_is_none"])


def ends_a_server():
    for end in (lambda pid: os.killpg(pid, signal.SIGTERM), lambda pid: os.kill(pid, signal.SIGKILL)):
        with subprocess.Popen(WAITS, stdout=subprocess.PIPE, start_new_session=True) as server:
            server.stdout.readline()
            end(server.pid)


if __name__ == "__main__":
    asks()
    checks()
    is_tried_again()
    asyncio.run(awaits())
    cleans_up()
    ends_a_server()
