import os
def test_a():
    if not os.path.exists(os.environ['ONCE']):
        open(os.environ['ONCE'], 'w').close()
        assert False
