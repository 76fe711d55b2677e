import os

assert os.environ["MODE"] == "b", "in mode a"
