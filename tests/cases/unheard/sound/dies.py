import subprocess, sys
def main():
    done = subprocess.run([sys.executable, 'helpers/bad.py'])
    assert done.returncode != 0
if __name__ == "__main__":
    main()
