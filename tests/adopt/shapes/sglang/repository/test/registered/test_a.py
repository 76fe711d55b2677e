from tools.ci import register_cuda_ci

register_cuda_ci(est_time=80, suite="stage-b-test-1-gpu-small")


def test_it():
    assert True
