import os
import subprocess
import sys


def main():
    if os.environ.get("TRIED") == "no":
        raise RuntimeError("at first")
    if not os.environ.get("TRIED"):
        command = [sys.executable, __file__]
        if subprocess.run(command, env={**os.environ, "TRIED": "no"}).returncode:
            subprocess.run(command, env={**os.environ, "TRIED": "yes"}, check=True)


if __name__ == "__main__":
    main()
