"""The command line and its defaults."""

from __future__ import annotations

from benchmarks.mutants.by_hand.fault import Fault

_P = "posttrain"

FAULTS = [
    Fault(
        "lambda is 1",
        "common",
        f"{_P}/arguments.py",
        "gae_lambda: float = _option(0.95)",
        "gae_lambda: float = _option(1.0)",
    ),
    Fault(
        "the upper clip is the lower",
        "common",
        f"{_P}/arguments.py",
        "clip_high: float = _option(0.28)",
        "clip_high: float = _option(0.2)",
    ),
    Fault(
        "sampling is cold",
        "common",
        f"{_P}/arguments.py",
        "temperature: float = _option(1.0)",
        "temperature: float = _option(0.7)",
    ),
    Fault(
        "a teacher may be missing",
        "common",
        f"{_P}/arguments.py",
        '(config.advantage_estimator == "opd") != bool(config.teacher_url)',
        'config.teacher_url and config.advantage_estimator != "opd"',
    ),
    Fault(
        "a flag that is left out is on",
        "common",
        f"{_P}/arguments.py",
        'parser.add_argument(flag, action="store_true"',
        'parser.add_argument(flag, action="store_false"',
    ),
    Fault(
        "an evaluation may have nothing to sample with",
        "common",
        f"{_P}/arguments.py",
        "if config.eval_function_path and config.load_rollout:",
        "if config.eval_function_path and config.load_rollout and config.save_rollout:",
    ),
    Fault(
        "the default reward is another one",
        "common",
        f"{_P}/arguments.py",
        'custom_rm_path: str = _path("", "posttrain.hooks.rule_based_reward")',
        'custom_rm_path: str = _path("", "posttrain.hooks.digit_share")',
    ),
    Fault(
        "the default rollout does not wait for its step",
        "common",
        f"{_P}/arguments.py",
        'rollout_function_path: str = _path("", "posttrain.rollout.function.generate_rollout")',
        'rollout_function_path: str = _path("", "posttrain.rollout.fully_async.generate_rollout")',
    ),
    Fault(
        "that metrics have no place is found at the first step",
        "common",
        f"{_P}/arguments.py",
        "(config.model_path, config.data_path, config.metrics_path.parent)",
        "(config.model_path, config.data_path)",
    ),
    Fault(
        "both learning rates are one option",
        "common",
        f"{_P}/arguments.py",
        "    critic_learning_rate: float = _option(2e-3)",
        "    critic_learning_rate: float = _option(1e-3)",
    ),
    Fault(
        "an unset choice is taken as it stands",
        "common",
        f"{_P}/arguments.py",
        'choices=about.get("choices") or None',
        "choices=None",
    ),
]
