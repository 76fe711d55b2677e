import subprocess
import sys

import pytest


def main():
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.check_call([sys.executable, "helpers/bad.py"])


if __name__ == "__main__":
    main()
