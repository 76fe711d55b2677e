"""What posttrain's hooks find on their ``args``, without a model."""

from __future__ import annotations

from pathlib import Path


class ScriptedEngine:
    """Answers every prompt rightly, in three tokens."""

    def generate(self, samples, *, seed):
        for sample in samples:
            sample.response, sample.response_length = sample.label, 3
            sample.tokens = [seed % 7, 1, 2, 3, 4]
            sample.loss_mask, sample.rollout_log_probs = [1, 1, 1], [-0.5, -0.5, -0.5]
            sample.status = type(sample).Status.COMPLETED


SETTINGS = {
    "rollout_engine": ScriptedEngine(),
    "rank": 0,
    "world_size": 1,
    "custom_rm_path": "posttrain.hooks.rule_based_reward",
    "custom_generate_function_path": None,
    "dynamic_sampling_filter_path": None,
    "rollout_sample_filter_path": None,
    "rollout_all_samples_process_path": None,
    "buffer_filter_path": "posttrain.hooks.pop_first",
    "data_path": Path(__file__).with_name("problems.jsonl"),
    "num_steps": 5,
    "rollout_id": 3,
}
