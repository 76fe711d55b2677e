import subprocess, sys
def go():
    return getattr(subprocess, 'call')([sys.executable, *'-m pytest helpers/bad_pytest.py'.split()])
if __name__ == "__main__":
    go()
