"""Which suites claim the ground of a file: their tests, the likeliest to notice first."""

from __future__ import annotations

REFERENCE = "tests/test_reference.py"
MEGATRON = "tests/test_reference.py --cases megatron"
EXPERTS = "tests/test_reference.py --cases experts"
SHORT = "tests/test_qwen2.5_tiny_short.py"
ASYNC = "tests/test_qwen2.5_tiny_async_short.py"
VISION = "tests/test_qwen2.5_vl_tiny.py"
ALIGN = "tests/test_megatron_fsdp_align.py"
TRUE = "tests/test_true_on_policy.py"
OPD = "tests/test_qwen2.5_tiny_opd_sglang.py"
REPLAY = "tests/test_qwen3_moe_routing_replay.py"
FP8 = "USE_FP8_ROLLOUT=1 tests/test_qwen3_moe.py"
LAYOUTS = "tests/test_parallel_check.py"
DEBUG = "tests/test_debug_rollout.py"
CKPT = "tests/test_ckpt.py"
CKPT_CRITIC = "tests/test_ckpt.py --optimizer-on-cpu load --critic"
CKPT_MEGATRON = "tests/test_ckpt.py --backend megatron"
CKPT_MEGATRON_ASYNC = "tests/test_ckpt.py --backend megatron --async-save --optimizer-on-cpu save"
CKPT_ASYNC = "tests/test_ckpt.py --async-save --optimizer-on-cpu save"
KILLED = "tests/test_ckpt_killed.py"
POINTER = "tests/test_ckpt_pointer.py"
RULES = "tests/test_units.py -x -m 'not slow' unit_tests"
HOOKS = "tests/test_units.py -x unit_tests/test_hooks.py"
TEACHER = "tests/test_units.py -x unit_tests/test_teacher.py"
FAMILIES = "tests/test_units.py -x unit_tests/test_families.py"
CRITIC = "tests/test_qwen3_ppo_critic_only.py"
GLM4 = "tests/test_glm4_dense.py"
ROLLOUT = "tests/test_units.py -x unit_tests/test_rollout.py"
PICTURES = "tests/test_units.py -x unit_tests/test_vision.py"
TRAINER = "tests/test_units.py -x unit_tests/test_trainer.py"

COLD_TESTS = {KILLED, CKPT_MEGATRON, CKPT_MEGATRON_ASYNC, TRAINER}
"""They look for the ranks among torchrun's children, limit them, or fork writers that a fork of a fork cannot."""

_M = "posttrain/backends/megatron"
CLAIMS = {
    "posttrain/training/grpo.py": [RULES, REFERENCE],
    "posttrain/training/objective.py": [REFERENCE, RULES, HOOKS],
    "posttrain/training/advantages.py": [RULES, REFERENCE],
    "posttrain/training/data.py": [RULES, REFERENCE, SHORT, HOOKS, MEGATRON],
    "posttrain/training/losses.py": [RULES, HOOKS],
    "posttrain/training/adam_state.py": [REFERENCE, CKPT_CRITIC],
    "posttrain/learner.py": [RULES, REFERENCE, MEGATRON, HOOKS, SHORT, OPD, CRITIC],
    "posttrain/trainer.py": [SHORT, ASYNC, HOOKS, CKPT, CKPT_CRITIC, CKPT_ASYNC],
    "posttrain/checkpoint.py": [RULES, POINTER, CKPT, CKPT_CRITIC, CKPT_ASYNC, KILLED],
    "posttrain/hooks.py": [RULES, HOOKS],
    "posttrain/vision.py": [VISION, PICTURES, ALIGN],
    "posttrain/metrics.py": [RULES, SHORT, CKPT, KILLED],
    "posttrain/backends/fsdp.py": [REFERENCE, SHORT, HOOKS, VISION, CKPT, CKPT_ASYNC, TRAINER],
    f"{_M}/attention.py": [MEGATRON, LAYOUTS, FAMILIES],
    f"{_M}/backend.py": [MEGATRON, EXPERTS, CKPT_MEGATRON, CKPT_MEGATRON_ASYNC, LAYOUTS, REPLAY, HOOKS],
    f"{_M}/build.py": [MEGATRON, EXPERTS, GLM4, FAMILIES, LAYOUTS + " --family qwen3-moe"],
    f"{_M}/checkpoint.py": [CKPT_MEGATRON, CKPT_MEGATRON_ASYNC, TRAINER],
    f"{_M}/config.py": [MEGATRON, EXPERTS, GLM4, FAMILIES],
    f"{_M}/convert.py": [MEGATRON, EXPERTS, GLM4],
    f"{_M}/layers.py": [MEGATRON, EXPERTS, GLM4, FAMILIES, "tests/test_moonlight.py", "tests/test_qwen3_ppo.py"],
    f"{_M}/layout.py": [FAMILIES, MEGATRON, EXPERTS, LAYOUTS, HOOKS],
    f"{_M}/mtp.py": [EXPERTS, "tests/test_mimo_mtp.py", FAMILIES],
    f"{_M}/replay.py": [REPLAY, FAMILIES, "tests/test_moonlight.py --routing-replay"],
    f"{_M}/weights.py": [MEGATRON, EXPERTS, FAMILIES, LAYOUTS, "tests/test_qwen3_moe.py"],
    "posttrain/rollout/engine.py": [SHORT, ALIGN, TRUE, VISION, REPLAY, ROLLOUT, PICTURES],
    "posttrain/rollout/sampler.py": [RULES, SHORT, HOOKS, DEBUG, OPD, CKPT, REFERENCE],
    "posttrain/rollout/function.py": [RULES, SHORT, CKPT, HOOKS],
    "posttrain/rollout/fully_async.py": [RULES, HOOKS],
    "posttrain/rollout/fp8.py": [FP8, RULES],
    "posttrain/rollout/saved.py": [RULES, DEBUG, HOOKS],
    "posttrain/rollout/distillation.py": [OPD, TEACHER],
    "posttrain/rollout/teacher.py": [OPD, TEACHER],
    "posttrain/task/reward.py": [RULES],
    "posttrain/task/problems.py": [RULES, SHORT],
    "posttrain/sample.py": [RULES, HOOKS],
    "posttrain/arguments.py": [RULES, SHORT, HOOKS],
    "posttrain/model.py": [ROLLOUT, FAMILIES, SHORT, REFERENCE],
    "posttrain/distributed.py": [REFERENCE, LAYOUTS, MEGATRON],
    "posttrain/backends/base.py": [MEGATRON, LAYOUTS],
    "posttrain/mimo.py": [FAMILIES, EXPERTS],
    "posttrain/task/data_source.py": [RULES, SHORT, CKPT, HOOKS],
    "posttrain/task/assets.py": [RULES, ROLLOUT, VISION],
    "posttrain/task/pictures.py": [RULES, VISION],
    "posttrain/task/supervised.py": [RULES, OPD],
    "posttrain/task/tokenizer.py": [RULES, ROLLOUT, SHORT],
}
