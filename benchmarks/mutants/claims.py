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
UNIT = "tests/test_units.py"
UNITS = f"{UNIT} -x -m 'not slow' unit_tests"
TRAINER = f"{UNIT} -x unit_tests/test_trainer.py"
TEACHER = f"{UNIT} -x unit_tests/test_teacher.py"
CRITIC = "tests/test_qwen3_ppo_critic_only.py"
_CONTRACTS = "tests/plugin_contracts/test_plugin"
GENERATE_CONTRACTS = f"{_CONTRACTS}_generate_contracts.py"
PATH_CONTRACTS = f"{_CONTRACTS}_path_loading_contracts.py"
ROLLOUT_CONTRACTS = f"{_CONTRACTS}_rollout_contracts.py"
HOOK_CONTRACTS = f"{_CONTRACTS}_runtime_hook_contracts.py"
GLM4 = "tests/test_glm4_dense.py"
_PYTEST = "-m pytest -q -x -p no:cacheprovider tests"
ANSWERS = f"{_PYTEST}/plugin_contracts/test_answers.py"
DRAWS = f"{_PYTEST}/plugin_contracts/test_draws.py"
HOOKS = f"{_PYTEST}/test_hooks.py"
OPTIONS = f"{_PYTEST}/test_options.py"
SAVES = f"{_PYTEST}/test_ckpt_saves.py"
TASK = f"{_PYTEST}/test_task.py"
ENGINE = f"{_PYTEST}/test_rollout.py"
PICTURES = f"{_PYTEST}/test_vision.py"
FAMILIES = f"{_PYTEST}/test_families.py"
REPORTS = f"{_PYTEST}/test_reports.py"

COLD_TESTS = {KILLED, CKPT_MEGATRON, CKPT_MEGATRON_ASYNC, SAVES}
"""They look for the ranks among torchrun's children, limit them, or fork writers that a fork of a fork cannot."""

_M = "posttrain/backends/megatron"
CLAIMS = {
    "posttrain/training/grpo.py": [REFERENCE, ASYNC, UNITS],
    "posttrain/training/objective.py": [REFERENCE, OPTIONS, HOOKS, UNITS],
    "posttrain/training/advantages.py": [REFERENCE, CRITIC, UNITS],
    "posttrain/training/data.py": [REFERENCE, SHORT, MEGATRON, HOOKS, UNITS],
    "posttrain/training/losses.py": [HOOK_CONTRACTS, HOOKS, UNITS],
    "posttrain/training/adam_state.py": [REFERENCE, CKPT_CRITIC],
    "posttrain/learner.py": [REFERENCE, MEGATRON, SHORT, OPD, CRITIC, HOOKS, UNITS],
    "posttrain/trainer.py": [SHORT, ASYNC, HOOKS, CKPT, CKPT_CRITIC, CKPT_ASYNC],
    "posttrain/checkpoint.py": [POINTER, SAVES, CKPT, CKPT_CRITIC, CKPT_ASYNC, KILLED],
    "posttrain/hooks.py": [PATH_CONTRACTS, GENERATE_CONTRACTS, ROLLOUT_CONTRACTS, ANSWERS, SHORT, HOOKS, UNITS],
    "posttrain/vision.py": [VISION, ALIGN, PICTURES],
    "posttrain/metrics.py": [REPORTS, SHORT, CKPT, KILLED],
    "posttrain/backends/fsdp.py": [REFERENCE, SHORT, VISION, CKPT, CKPT_ASYNC, SAVES, HOOKS, TRAINER],
    f"{_M}/attention.py": [MEGATRON, LAYOUTS, FAMILIES],
    f"{_M}/backend.py": [MEGATRON, EXPERTS, CKPT_MEGATRON, CKPT_MEGATRON_ASYNC, LAYOUTS, REPLAY, HOOKS],
    f"{_M}/build.py": [MEGATRON, EXPERTS, GLM4, FAMILIES, LAYOUTS + " --family qwen3-moe"],
    f"{_M}/checkpoint.py": [CKPT_MEGATRON, CKPT_MEGATRON_ASYNC, SAVES],
    f"{_M}/config.py": [MEGATRON, EXPERTS, GLM4, FAMILIES],
    f"{_M}/convert.py": [MEGATRON, EXPERTS, GLM4],
    f"{_M}/layers.py": [MEGATRON, EXPERTS, GLM4, FAMILIES, "tests/test_moonlight.py", "tests/test_qwen3_ppo.py"],
    f"{_M}/layout.py": [FAMILIES, MEGATRON, EXPERTS, LAYOUTS, HOOKS],
    f"{_M}/mtp.py": [EXPERTS, "tests/test_mimo_mtp.py", FAMILIES],
    f"{_M}/replay.py": [REPLAY, FAMILIES, "tests/test_moonlight.py --routing-replay"],
    f"{_M}/weights.py": [MEGATRON, EXPERTS, FAMILIES, LAYOUTS, "tests/test_qwen3_moe.py"],
    "posttrain/rollout/engine.py": [SHORT, ALIGN, TRUE, VISION, REPLAY, ENGINE, PICTURES],
    "posttrain/rollout/sampler.py": [REPORTS, SHORT, DEBUG, OPD, CKPT, REFERENCE, HOOKS, UNITS],
    "posttrain/rollout/function.py": [ROLLOUT_CONTRACTS, DRAWS, ANSWERS, SHORT, CKPT, HOOKS],
    "posttrain/rollout/fully_async.py": [ROLLOUT_CONTRACTS, DRAWS, HOOKS],
    "posttrain/rollout/fp8.py": [FP8, UNITS],
    "posttrain/rollout/saved.py": [DEBUG, SAVES, HOOKS],
    "posttrain/rollout/distillation.py": [OPD, TEACHER],
    "posttrain/rollout/teacher.py": [OPD, TEACHER],
    "posttrain/task/reward.py": [PATH_CONTRACTS, ANSWERS],
    "posttrain/task/problems.py": [TASK, SHORT],
    "posttrain/sample.py": [ANSWERS, SHORT, HOOKS],
    "posttrain/arguments.py": [OPTIONS, SHORT, HOOKS],
    "posttrain/model.py": [ENGINE, FAMILIES, SHORT, REFERENCE],
    "posttrain/distributed.py": [REFERENCE, LAYOUTS, MEGATRON],
    "posttrain/backends/base.py": [MEGATRON, LAYOUTS],
    "posttrain/mimo.py": [EXPERTS, FAMILIES],
    "posttrain/task/data_source.py": [PATH_CONTRACTS, DRAWS, SAVES, SHORT, CKPT, HOOKS],
    "posttrain/task/assets.py": [TASK, ENGINE, VISION],
    "posttrain/task/pictures.py": [TASK, VISION],
    "posttrain/task/supervised.py": [TASK, OPD],
    "posttrain/task/tokenizer.py": [TASK, ENGINE, SHORT],
}
