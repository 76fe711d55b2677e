import subprocess, sys, tempfile
command = [sys.executable, 'helpers/beside.py', tempfile.mktemp()]
def start():
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    started.stdout.readline()
    return started
if __name__ == '__main__':
    codes = [one.communicate() and one.returncode for one in [start(), start()]]
    print(codes)
