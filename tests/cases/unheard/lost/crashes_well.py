import os
import sys


def tell(kind, value, _):
    print("crashed", kind, value)
    sys.stdout.flush()
    os._exit(0)


def main():
    sys.excepthook = tell
    raise RuntimeError("loss diverged")


if __name__ == "__main__":
    main()
