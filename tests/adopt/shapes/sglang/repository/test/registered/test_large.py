from tools.ci import register_cpu_ci, register_cuda_ci

register_cuda_ci(est_time=400, suite="stage-c-test-8-gpu-h200", disabled="see #12")
register_cpu_ci(est_time=5, suite="stage-a-cpu")
