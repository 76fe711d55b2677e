CI_SUITES = ["fast"]


def test_it():
    assert True
