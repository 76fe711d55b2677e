import os, sys
try:
    os.mkdir(sys.argv[1])
except FileExistsError:
    print('began', flush=True)
    sys.stdin.read()
else:
    print('began', flush=True)
    sys.stdin.read()
    assert False, 'beside'
