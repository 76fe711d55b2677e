"""Which suites claim the ground of a file: their tests, the likeliest to notice first.

Unit tests stand behind all others: what is noticed by one of them, nothing but unit tests notices.
"""

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
MOONLIGHT_REPLAY = "tests/test_moonlight.py --routing-replay"
PPO = "tests/test_qwen3_ppo.py"
MIMO = "tests/test_mimo_mtp.py"
_CONTRACTS = "tests/plugin_contracts/test_plugin"
GENERATE_CONTRACTS = f"{_CONTRACTS}_generate_contracts.py"
PATH_CONTRACTS = f"{_CONTRACTS}_path_loading_contracts.py"
ROLLOUT_CONTRACTS = f"{_CONTRACTS}_rollout_contracts.py"
HOOK_CONTRACTS = f"{_CONTRACTS}_runtime_hook_contracts.py"
GLM4 = "tests/test_glm4_dense.py"
ROLLOUT = "tests/test_units.py -x unit_tests/test_rollout.py"
PICTURES = "tests/test_units.py -x unit_tests/test_vision.py"
TRAINER = "tests/test_units.py -x unit_tests/test_trainer.py"

COLD_TESTS = {KILLED, CKPT_MEGATRON, CKPT_MEGATRON_ASYNC, TRAINER}
"""They look for the ranks among torchrun's children, limit them, or fork writers that a fork of a fork cannot."""

_M = "posttrain/backends/megatron"
CLAIMS = {
    "posttrain/training/grpo.py": [REFERENCE, ASYNC, RULES],
    "posttrain/training/objective.py": [REFERENCE, CRITIC, HOOKS, RULES],
    "posttrain/training/advantages.py": [REFERENCE, CRITIC, PPO, RULES],
    "posttrain/training/data.py": [REFERENCE, SHORT, MEGATRON, ALIGN, VISION, HOOKS, RULES],
    "posttrain/training/losses.py": [HOOK_CONTRACTS, HOOKS, RULES],
    "posttrain/training/adam_state.py": [REFERENCE, CKPT_CRITIC],
    "posttrain/learner.py": [REFERENCE, MEGATRON, SHORT, OPD, CRITIC, ALIGN, MIMO, HOOKS, RULES],
    "posttrain/trainer.py": [SHORT, ASYNC, CKPT, CKPT_CRITIC, CKPT_ASYNC, HOOKS],
    "posttrain/checkpoint.py": [POINTER, CKPT, CKPT_CRITIC, CKPT_ASYNC, KILLED, RULES],
    "posttrain/hooks.py": [
        PATH_CONTRACTS,
        GENERATE_CONTRACTS,
        ROLLOUT_CONTRACTS,
        HOOK_CONTRACTS,
        TRUE,
        SHORT,
        CKPT,
        HOOKS,
        RULES,
    ],
    "posttrain/vision.py": [VISION, ALIGN, PICTURES],
    "posttrain/metrics.py": [SHORT, CKPT, KILLED, RULES],
    "posttrain/backends/fsdp.py": [REFERENCE, SHORT, VISION, CKPT, CKPT_ASYNC, HOOKS, TRAINER],
    f"{_M}/attention.py": [MEGATRON, LAYOUTS, FAMILIES],
    f"{_M}/backend.py": [MEGATRON, EXPERTS, CKPT_MEGATRON, CKPT_MEGATRON_ASYNC, LAYOUTS, REPLAY, HOOKS],
    f"{_M}/build.py": [MEGATRON, EXPERTS, GLM4, LAYOUTS + " --family qwen3-moe", FAMILIES],
    f"{_M}/checkpoint.py": [CKPT_MEGATRON, CKPT_MEGATRON_ASYNC, TRAINER],
    f"{_M}/config.py": [MEGATRON, EXPERTS, GLM4, FAMILIES],
    f"{_M}/convert.py": [MEGATRON, EXPERTS, GLM4],
    f"{_M}/layers.py": [MEGATRON, EXPERTS, GLM4, "tests/test_moonlight.py", PPO, FAMILIES],
    f"{_M}/layout.py": [MEGATRON, EXPERTS, LAYOUTS, HOOKS, FAMILIES],
    f"{_M}/mtp.py": [EXPERTS, MIMO, FAMILIES],
    f"{_M}/replay.py": [REPLAY, MOONLIGHT_REPLAY, FAMILIES],
    f"{_M}/weights.py": [MEGATRON, EXPERTS, LAYOUTS, "tests/test_qwen3_moe.py", FAMILIES],
    "posttrain/rollout/engine.py": [SHORT, ALIGN, TRUE, VISION, REPLAY, MOONLIGHT_REPLAY, ROLLOUT, PICTURES],
    "posttrain/rollout/sampler.py": [ROLLOUT_CONTRACTS, SHORT, DEBUG, OPD, CKPT, REFERENCE, HOOKS, RULES],
    "posttrain/rollout/function.py": [ROLLOUT_CONTRACTS, SHORT, CKPT, HOOKS, RULES],
    "posttrain/rollout/fully_async.py": [ROLLOUT_CONTRACTS, HOOKS, RULES],
    "posttrain/rollout/fp8.py": [FP8, RULES],
    "posttrain/rollout/saved.py": [DEBUG, HOOKS, RULES],
    "posttrain/rollout/distillation.py": [OPD, TEACHER],
    "posttrain/rollout/teacher.py": [OPD, TEACHER],
    "posttrain/task/reward.py": [PATH_CONTRACTS, SHORT, RULES],
    "posttrain/task/problems.py": [SHORT, ALIGN, RULES],
    "posttrain/sample.py": [SHORT, ROLLOUT_CONTRACTS, HOOKS, RULES],
    "posttrain/arguments.py": [SHORT, CKPT, CKPT_MEGATRON_ASYNC, OPD, CRITIC, MIMO, TRUE, HOOKS, RULES],
    "posttrain/model.py": [SHORT, REFERENCE, ROLLOUT, FAMILIES],
    "posttrain/distributed.py": [REFERENCE, LAYOUTS, MEGATRON],
    "posttrain/backends/base.py": [MEGATRON, LAYOUTS],
    "posttrain/mimo.py": [EXPERTS, MIMO, FAMILIES],
    "posttrain/task/data_source.py": [PATH_CONTRACTS, ROLLOUT_CONTRACTS, SHORT, CKPT, CKPT_ASYNC, HOOKS, RULES],
    "posttrain/task/assets.py": [SHORT, VISION, OPD, RULES, ROLLOUT],
    "posttrain/task/pictures.py": [VISION, RULES],
    "posttrain/task/supervised.py": [OPD, RULES],
    "posttrain/task/tokenizer.py": [SHORT, ALIGN, RULES, ROLLOUT],
}
