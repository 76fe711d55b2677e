NUM_GPUS = 1


def test_it():
    assert True
