"""The weights that make good for the gap between the engines."""

from __future__ import annotations

from benchmarks.mutants.by_hand.fault import Fault

_P = "posttrain"

FAULTS = [
    Fault(
        "weights upside down",
        "unslothai/unsloth-zoo PR 870",
        f"{_P}/training/objective.py",
        "torch.exp(train - rollout)",
        "torch.exp(rollout - train)",
    ),
    Fault(
        "weights are not truncated",
        "huggingface/trl PR 3867",
        f"{_P}/training/objective.py",
        ".clamp(max=clip)",
        "",
    ),
    Fault(
        "weights count twice",
        "huggingface/trl PR 3867",
        f"{_P}/training/objective.py",
        "losses = losses * weights",
        "losses = losses * weights * weights",
    ),
    Fault(
        "the ratio is to the rollout although it is corrected",
        "THUDM/slime PR 942",
        f"{_P}/training/objective.py",
        '"log_probs" if corrected else "rollout_log_probs"',
        '"rollout_log_probs"',
    ),
    Fault(
        "too large weights are dropped, not cut",
        "verl-project/verl PR 6452",
        f"{_P}/training/objective.py",
        "return torch.exp(train - rollout).clamp(max=clip)",
        "weights = torch.exp(train - rollout)\n    return weights * (weights <= clip)",
    ),
    Fault(
        "one weight for all tokens of a row",
        "common",
        f"{_P}/training/objective.py",
        'given["rollout_log_probs"], self._config.tis_clip)',
        'given["rollout_log_probs"], self._config.tis_clip).mean(dim=1, keepdim=True)',
    ),
    Fault(
        "the weight is that of the policy that learns",
        "THUDM/slime PR 942",
        f"{_P}/training/objective.py",
        'importance_weights(given["log_probs"]',
        "importance_weights(log_probs",
    ),
    Fault(
        "old log-probabilities are those of the rollout",
        "common",
        f"{_P}/learner.py",
        'data["log_probs"] = self.policy.scores(data)',
        'data["log_probs"] = [*data["rollout_log_probs"]]',
    ),
    Fault(
        "weights are cut on both sides",
        "common",
        f"{_P}/training/objective.py",
        ".clamp(max=clip)",
        ".clamp(1 / clip, clip)",
    ),
    Fault(
        "weights have a mean of one",
        "common",
        f"{_P}/training/objective.py",
        "            losses = losses * weights\n",
        "            losses = losses * weights / weights.mean()\n",
    ),
    Fault(
        "weights are made of probabilities of training after the update",
        "common",
        f"{_P}/learner.py",
        "        tokens = self._weigh(data)\n",
        (
            '        data["rollout_log_probs"] = data["log_probs"] if self._config.use_tis else '
            'data["rollout_log_probs"]\n'
            "        tokens = self._weigh(data)\n"
        ),
    ),
]
