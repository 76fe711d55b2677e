def test_a(): assert 1 == 2
def test_b(): pass
