"""One update: from the samples of a rollout to new weights of the policy, and of a critic where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from posttrain.arguments import Config
from posttrain.backends import init_backend
from posttrain.backends.base import Backend, StepResult
from posttrain.distributed import gather
from posttrain.hooks import hook_args, load_hook
from posttrain.metrics import digest
from posttrain.model import dtype_of
from posttrain.sample import Sample
from posttrain.training.advantages import at_the_end, discounted, towards_teacher, whitened
from posttrain.training.data import Data, add_loss_weights, convert_samples, to_tensors
from posttrain.training.grpo import group_advantages
from posttrain.training.objective import PolicyObjective, ValueObjective


class Learner:
    """The policy, a critic for ``--advantage-estimator ppo``, and what they learn from."""

    def __init__(self, config: Config, device: torch.device):
        self._config = config
        self._device = device
        self._args = hook_args(config)
        self.policy = init_backend(config, device, PolicyObjective(config))
        self.critic = (
            init_backend(config, device, ValueObjective(config)) if config.advantage_estimator == "ppo" else None
        )
        if init := load_hook(config.custom_megatron_init_path):
            init(self._args)

    def update(self, samples: list[Sample], step: int) -> dict[str, Any]:
        """Learn from this replica's ``samples``; returns the metrics of the step."""
        config = self._config
        convert = load_hook(config.custom_convert_samples_to_train_data_path) or convert_samples
        data = to_tensors(convert(self._args, samples), self._device)
        if before_log_probs := load_hook(config.custom_megatron_before_log_prob_hook_path):
            before_log_probs(self._args, self.policy.model, "")
        data["log_probs"] = self.policy.scores(data)
        gaps = _gaps(data)
        if self.critic:
            data["values"] = self.critic.scores(data)
        self._credit(data, samples)
        if postprocess := load_hook(config.rollout_data_postprocess_path):
            postprocess(self._args, step, data)
        tokens = self._weigh(data)
        row: dict[str, Any] = {}
        if self.critic:
            result = self._train_step(self.critic, data, step)
            value = sum(gather(torch.cat(data["values"]).mean().item())) / dist.get_world_size()
            row |= {"critic_loss": result.loss, "critic_grad_norm": result.grad_norm, "value": value}
            row |= result.metrics
        if step > config.critic_warmup_steps:
            result = self._train_step(self.policy, data, step)
            row |= {"loss": result.loss, "grad_norm": result.grad_norm, **result.metrics}
        ranks = gather({"gap": gaps.max().item(), "mean_gap": gaps.mean().item(), "reverse_kl": _reverse_kl(data)})
        if config.teacher_url:
            row["reverse_kl"] = [rank["reverse_kl"] for rank in ranks]
        return {
            **row,
            "log_prob_gap": max(rank["gap"] for rank in ranks),
            "mean_log_prob_gap": sum(rank["mean_gap"] for rank in ranks) / len(ranks),
            "tokens": tokens,
            "dtype": str(dtype_of(config, self._device)).removeprefix("torch."),
        }

    def digests(self, weights: Mapping[str, Tensor]) -> dict[str, list[str]]:
        """By rank: a digest of the whole weights as that rank received them, and of its own shard."""
        shards = {"shards": digest(self.policy.local_weights())}
        if self.critic:
            shards["critic_shards"] = digest(self.critic.local_weights())
        mtp = {name: value for name, value in weights.items() if ".mtp_layers." in name}
        if mtp:
            shards["mtp_layers"] = digest(mtp)
            shards["trunk"] = digest({name: value for name, value in weights.items() if name not in mtp})
        tower = {name: value for name, value in weights.items() if ".visual." in name}
        if tower:
            shards["vision_tower"] = digest(tower)
        ranks = gather({"weights": digest(weights), **shards})
        return {name: [rank[name] for rank in ranks] for name in ranks[0]}

    def _train_step(self, backend: Backend, data: Data, step: int) -> StepResult:
        if before := load_hook(self._config.custom_megatron_before_train_step_hook_path):
            before(self._args, step, 0, backend.model, backend.optimizer, None)
        return backend.train_step(data)

    def _credit(self, data: Data, samples: list[Sample]) -> None:
        """Add advantages, and returns for a critic."""
        config = self._config
        rewards = self._rewards(data, samples)
        if config.advantage_estimator == "ppo":
            pairs = [
                discounted(at_the_end(reward, values), values, gamma=config.gae_gamma, lam=config.gae_lambda)
                for reward, values in zip(rewards, data["values"], strict=True)
            ]
            data["returns"] = [returns for _, returns in pairs]
            advantages = [advantages for advantages, _ in pairs]
            learning = torch.cat(advantages)[torch.cat(data["loss_masks"]).bool()]
            # Gathered on the CPU: each replica's GPU is another.
            everywhere = torch.cat(self.policy.replica.gather(learning.cpu())).to(learning.device)
            data["advantages"] = whitened(advantages, everywhere)
        elif config.advantage_estimator == "opd":
            data["advantages"] = [
                towards_teacher(teacher, student)
                for teacher, student in zip(data["teacher_log_probs"], data["log_probs"], strict=True)
            ]
        else:
            data["advantages"] = [
                torch.full_like(mask, reward) for mask, reward in zip(data["loss_masks"], rewards, strict=True)
            ]

    def _rewards(self, data: Data, samples: list[Sample]) -> list[float]:
        """One number a sample: raw for a critic, else compared with its group."""
        if post_process := load_hook(self._config.custom_reward_post_process_path):
            return post_process(self._args, samples)[1]  # type: ignore[no-any-return]
        if self._config.advantage_estimator != "grpo":
            return data["rewards"]  # type: ignore[no-any-return]
        rewards = torch.tensor(data["rewards"], dtype=torch.float64)  # in float32 the mean of thirds is no third
        group_of = {sample.index: sample.group_index for sample in samples}
        groups = torch.tensor([group_of[index] for index in data["sample_indices"]])
        return group_advantages(rewards, groups).tolist()  # type: ignore[no-any-return]

    def _weigh(self, data: Data) -> float:
        """Add the weights of losses; returns how many tokens learn, over all replicas."""
        own = (float(sum(mask.sum() for mask in data["loss_masks"])), len(data["loss_masks"]))
        replicas = self.policy.replica.gather(own)
        tokens, data["all_samples"] = sum(pair[0] for pair in replicas), sum(pair[1] for pair in replicas)
        add_loss_weights(
            data, tokens=max(tokens, 1), samples=data["all_samples"], per_token=self._config.per_token_loss
        )
        return tokens


def _gaps(data: Data) -> Tensor:
    """How far the log-probability of each token differs between rollout and training."""
    return (torch.cat(data["log_probs"]) - torch.cat(data["rollout_log_probs"])).abs()


def _reverse_kl(data: Data) -> float | None:
    """From the policy to the teacher: the mean over the tokens that learn; None without a teacher."""
    if "teacher_log_probs" not in data:
        return None
    ratios = torch.cat(data["log_probs"]) - torch.cat(data["teacher_log_probs"])
    masks = torch.cat(data["loss_masks"])
    return float((ratios * masks).sum() / masks.sum().clamp(min=1))
