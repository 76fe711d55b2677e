from tests.ci.ci_register import register_cuda_ci

NUM_GPUS = 8
register_cuda_ci(
    est_time=1400,
    suite="stage-c-8-gpu-h100",
    labels=["megatron"],
)

if __name__ == "__main__":
    print("trained")
