"""Holds the first steps of a run to the reference: what was sampled, credited and learned, number by number."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from _compared import Compared
from _defaults import assert_unsaid
from _network import Network
from _recorded import Recorded, assert_apart, response, rows
from _sampled import Sampled
from _updated import Updated
from posttrain.arguments import Config, parse_args
from reference import loss, prediction, rewards, sampling, step
from tokenizers import Tokenizer
from torch import Tensor

Row = dict[str, Any]
T = TypeVar("T")


def assert_held(
    command: Sequence[str],
    directory: Path,
    metrics: Sequence[Row],
    *,
    ranks: int,
    steps: int,
    teacher: Path | None = None,
) -> None:
    """Hold a run of ``command`` on so many ranks, recorded in ``directory``, and its ``teacher``, a checkpoint."""
    config = parse_args(command)
    assert_unsaid(vars(config), command)
    held = Held(config, directory, metrics, ranks, teacher)
    for number in range(1, steps + 1):
        held.assert_step(number)


class Held:
    """A recorded run, of which ``metrics`` was told, beside the networks that take its steps once more."""

    def __init__(self, config: Config, directory: Path, metrics: Sequence[Row], ranks: int, teacher: Path | None):
        own = {"auto": "bfloat16" if torch.cuda.device_count() else "float32"}.get(config.dtype, config.dtype)
        assert {row["dtype"] for row in metrics[1:]} == {own}, (
            f"the run says that it computed in another type than {own}"
        )
        fsdp = config.backend == "fsdp"
        replicas = ranks // (config.tensor_parallel * config.pipeline_parallel * config.context_parallel)
        self._config = config
        self._metrics = metrics
        self._recorded = Recorded(directory, replicas, shards=ranks if fsdp else 1)
        self._compared = Compared(own)
        self._policy = Network(config.model_path)
        self._teacher = Network(teacher) if teacher else None
        self._learner = Updated(
            self._policy, self._compared, config.learning_rate, config.max_grad_norm, clipped_gradients=fsdp
        )
        self._critic: Updated | None = None
        self._weights = {0: self._policy.weights()}
        """By how many updates made them."""
        self._sampled = Sampled(
            self._policy,
            Tokenizer.from_file(str(config.model_path / "tokenizer.json")),
            self._compared,
            temperature=config.temperature,
            longest=config.max_new_tokens,
            prompts=config.prompts_per_step,
            group_size=config.samples_per_prompt,
            replicas=replicas,
            problems=[json.loads(line) for line in config.data_path.read_text().splitlines()],
            fp8=config.fp8_rollout,
            reward=_reward(config),
        )
        self._settings = step.Settings(
            estimator=config.advantage_estimator,
            per_token=config.per_token_loss,
            low=config.clip_low,
            high=config.clip_high,
            largest_weight=config.tis_clip if config.use_tis else None,
            gamma=config.gae_gamma,
            lam=config.gae_lambda,
            value_clip=config.value_clip,
        )

    def assert_step(self, number: int) -> None:
        """One after the other, from the checkpoint on the disk."""
        what, row, parts = f"step {number}", self._metrics[number], self._recorded.samples(number)
        samples = [sample for part in parts for sample in part]
        counts = [len(part) for part in parts]
        data = self._recorded.data(number)
        if self._config.load_rollout is None:
            assert_apart(parts)
            self._sampled.assert_step(samples, self._weights, what)
        if self._teacher:
            self._assert_taught(samples, what)
        responses = [response(sample, data) for sample in samples]
        learning = sum(int(response.learns.sum()) for response in responses)
        assert row["tokens"] == learning, f"{row['tokens']} tokens of {what} learned, and not {learning}"
        self._policy.load(self._weights[number - 1])
        with self._policy.following(samples if self._config.routing_replay else []):
            new = _log_probs(self._policy, samples, self._config.temperature)
        found = rows(data, samples, "own_log_probs", "log_probs")
        self._compared.near(found, new, "log_probs", f"log-probabilities of {what}")
        self._compared.in_its_type(found, new, f"log-probabilities of {what}")
        self._assert_gaps(row, new, responses, counts, what)
        update = self._recorded.update("critic", number)
        values = self._values(samples, data, update, what) if update else []
        batch = self._credited(samples, responses, new, values, data, what)
        if update:
            self._assert_critic(responses, values, batch, update, row, counts, what)
        update = self._recorded.update("policy", number)
        if update:
            self._assert_policy(samples, responses, new, batch, update, row, what)
        else:
            assert "loss" not in row, f"{what} trained the policy, and its gradients were not recorded"
        self._weights[number] = self._policy.weights()

    def _assert_taught(self, samples: list[Row], what: str) -> None:
        assert self._teacher
        with torch.no_grad():
            taught = _log_probs(self._teacher, samples, 1.0)
        found = [torch.tensor(sample["teacher_log_probs"]) for sample in samples]
        self._compared.near(found, taught, "log_probs", f"the teacher's log-probabilities of {what}")

    def _assert_gaps(
        self, row: Row, new: list[Tensor], responses: list[step.Response], counts: list[int], what: str
    ) -> None:
        """What is reported of rollout and training, and of student and teacher."""
        if not self._compared.exact:
            return
        gaps = [(one.detach() - response.rollout).abs() for one, response in zip(new, responses, strict=True)]
        self._compared.close(row["log_prob_gap"], float(torch.cat(gaps).max()), f"log_prob_gap of {what}")
        means = [float(torch.cat(list(part)).mean()) for part in _by_replica(gaps, counts)]
        self._compared.close(row["mean_log_prob_gap"], sum(means) / len(means), f"mean_log_prob_gap of {what}")
        if self._config.teacher_url:
            terms = [one.detach() - response.teacher for one, response in zip(new, responses, strict=True)]
            learns = [response.learns for response in responses]
            pairs = zip(_by_replica(terms, counts), _by_replica(learns, counts), strict=True)
            due = [float(loss.mean(some, masks, per_token=True)) for some, masks in pairs]
            ranks = len(row["reverse_kl"]) // len(due)
            for rank, found in enumerate(row["reverse_kl"]):
                self._compared.close(found, due[rank // ranks], f"reverse_kl of rank {rank} at {what}")

    def _values(self, samples: list[Row], data: dict[int, Row], update: Row, what: str) -> list[Tensor]:
        if self._critic is None:
            network = Network(self._config.model_path, update["before"]["lm_head.weight"])
            rate, fsdp = self._config.critic_learning_rate, self._config.backend == "fsdp"
            self._critic = Updated(
                network, self._compared, rate, self._config.max_grad_norm, clipped_gradients=fsdp
            )
        self._critic.assert_before(update["before"], f"the critic before {what}")
        values = [
            output[-sample["response_length"] - 1 : -1, 0]
            for output, sample in zip(self._critic.network.outputs(samples), samples, strict=True)
        ]
        found = rows(data, samples, "own_values", "values")
        self._compared.near(found, values, "log_probs", f"values of {what}", scale=5.0)
        return values

    def _credited(
        self,
        samples: list[Row],
        responses: list[step.Response],
        new: list[Tensor],
        values: list[Tensor],
        data: dict[int, Row],
        what: str,
    ) -> step.Batch:
        batch = step.credited(responses, new, self._settings, values)
        found = rows(data, samples, "advantages")
        self._compared.near(found, batch.advantages, "terms", f"advantages of {what}", scale=10.0)
        if values:
            found = rows(data, samples, "returns")
            self._compared.near(found, batch.returns, "terms", f"returns of {what}", scale=10.0)
        if self._config.rollout_data_postprocess_path == "tests._recorder.record_moved":
            old = [row.double() for row in rows(data, samples, "log_probs")]
            before = [row.double() for row in rows(data, samples, "values")] if values else []
            batch = replace(batch, old=old, old_values=before)
        return batch

    def _assert_critic(
        self,
        responses: list[step.Response],
        values: list[Tensor],
        batch: step.Batch,
        update: Row,
        row: Row,
        counts: list[int],
        what: str,
    ) -> None:
        assert self._critic
        value, gradients = step.gradients(
            self._critic.network.model, lambda: step.critic_loss(responses, values, batch, self._settings)
        )
        self._compared.close(row["critic_loss"], value, f"critic_loss of {what}")
        if self._compared.exact:
            means = [float(torch.cat(list(part)).mean()) for part in _by_replica(batch.old_values, counts)]
            self._compared.close(row["value"], sum(means) / len(means), f"value of {what}")
            errors = [(now.detach() - due).abs() for now, due in zip(values, batch.returns, strict=True)]
            learns = [response.learns for response in responses]
            mean = float(loss.mean(errors, learns, self._settings.per_token))
            self._compared.close(row["value_error"], mean, f"value_error of {what}")
        self._critic.assert_step(update, gradients, row["critic_grad_norm"], f"the critic at {what}")

    def _assert_policy(
        self,
        samples: list[Row],
        responses: list[step.Response],
        new: list[Tensor],
        batch: step.Batch,
        update: Row,
        row: Row,
        what: str,
    ) -> None:
        close = self._compared.close
        terms = step.policy_terms(responses, new, batch, self._settings)
        self._learner.assert_before(update["before"], f"the policy before {what}")
        close(row["clip_fraction"], terms.clip_fraction, f"clip_fraction of {what}")
        if terms.importance is not None:
            close(row["tis_weight"], terms.importance, f"tis_weight of {what}")
        guessing = torch.zeros((), dtype=torch.float64)
        if self._config.mtp_loss_weight:
            guessing = self._mtp_loss(samples, responses)
            close(row["mtp_loss"], float(guessing.detach()), f"mtp_loss of {what}")
        close(row["loss"], float(terms.loss.detach()), f"loss of {what}")
        total = terms.loss + self._config.mtp_loss_weight * guessing
        _, gradients = step.gradients(self._policy.model, lambda: total)
        self._learner.assert_step(update, gradients, row["grad_norm"], f"the policy at {what}")

    def _mtp_loss(self, samples: list[Row], responses: list[step.Response]) -> Tensor:
        losses = []
        for guesses, sample, one in zip(self._policy.guesses(samples), samples, responses, strict=True):
            first = len(sample["tokens"]) - one.length
            losses.append(prediction.cross_entropy(guesses, sample["tokens"], 1, first))
        return loss.mean(losses, [one.learns for one in responses], self._settings.per_token)


def _reward(config: Config) -> Any:
    """The rule that the reference knows of a run's rewards, if it does."""
    return {
        "posttrain.hooks.rule_based_reward": lambda sample: rewards.by_rule(sample["response"], sample["label"]),
        "posttrain.hooks.digit_share": lambda sample: rewards.digits(sample["response"], config.max_new_tokens),
    }.get(config.custom_rm_path)


def _by_replica(some: Sequence[T], counts: Sequence[int]) -> list[Sequence[T]]:
    ends = list(itertools.accumulate(counts))
    return [some[end - count : end] for end, count in zip(ends, counts, strict=True)]


def _log_probs(network: Network, samples: Sequence[Row], temperature: float) -> list[Tensor]:
    """Of the tokens of each response."""
    return [
        sampling.log_probs(output, sample["tokens"], sample["response_length"], temperature)
        for output, sample in zip(network.outputs(samples), samples, strict=True)
    ]
