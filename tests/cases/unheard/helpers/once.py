import os, sys
if not os.path.exists(sys.argv[1]):
    open(sys.argv[1], 'w').close()
    assert False, 'at first'
