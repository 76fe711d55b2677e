import sys

sys.path.insert(0, "helpers")

import starts

if __name__ == "__main__":
    for start in starts.EACH:
        start()
