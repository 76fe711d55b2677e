import subprocess, sys
def main():
    done = subprocess.run([sys.executable, 'helpers/bad.py'], capture_output=True, text=True)
    assert 'x is wrong' in done.stderr
if __name__ == "__main__":
    main()
