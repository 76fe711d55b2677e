"""Holds what a rollout sampled to the reference: prompts, probabilities, endings, chance, experts, rewards."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from _compared import Compared
from _network import Network
from reference import pictures, sampling
from tokenizers import Tokenizer
from torch import Tensor

Row = dict[str, Any]
Draw = tuple[int, Tensor]
"""A token that was sampled, and the probabilities of all."""


@dataclass
class Sampled:
    """The rollouts of a run, step by step."""

    policy: Network
    tokenizer: Tokenizer
    compared: Compared
    temperature: float
    longest: int
    prompts: int
    """In a step, over all replicas."""
    group_size: int
    replicas: int
    problems: Sequence[Row]
    fp8: bool
    reward: Callable[[Row], float] | None
    """What a sample should earn, where the reference knows the rule."""
    _firsts: list[Draw] = field(default_factory=list)
    """The first tokens of the last step's responses."""
    _prompts: list[tuple[str, str | None]] = field(default_factory=list)

    def assert_step(self, samples: list[Row], weights: Mapping[int, dict[str, Tensor]], what: str) -> None:
        """Each sample was drawn by the ``weights`` of its version."""
        self._assert_prompts(samples)
        surprise = variance = 0.0
        found: list[Tensor] = []
        expected: list[Tensor] = []
        draws: dict[int, list[Draw]] = {}
        for version, ours in itertools.groupby(
            sorted(samples, key=lambda s: s["weights_version"]), key=lambda s: s["weights_version"]
        ):
            assert version in weights, f"{what} has samples of version {version}, which came later"
            self.policy.load(weights[version])
            if self.fp8:
                self.policy.round_to_fp8()
            group = list(ours)
            with torch.no_grad():
                outputs = self.policy.outputs(group)
                if group[0]["routed_experts"] is not None:
                    self._assert_routed(group, what)
            for sample, output in zip(group, outputs, strict=True):
                length = sample["response_length"]
                assert length > 0, "a sample has no response"
                assert sample["loss_mask"] == [1] * length, "what was sampled does not learn, or counts twice"
                log_probs = sampling.log_probs(output, sample["tokens"], length, self.temperature)
                found.append(torch.tensor(sample["rollout_log_probs"]))
                expected.append(log_probs)
                try:
                    status = sampling.ending(sample["tokens"][-length:], self._eos, self.longest)
                except ValueError as error:
                    raise AssertionError(str(error)) from None
                assert sample["status"] == status, f"a response that is {status} is called {sample['status']}"
                every = torch.log_softmax(output[-length - 1 : -1] / self.temperature, dim=-1)
                chances, every = every.exp(), every.clamp(min=-1e9)  # of what cannot be, 0 times minus infinity
                draws[sample["index"]] = list(zip(sample["tokens"][-length:], chances, strict=True))
                mean = (chances * every).sum(dim=-1)
                surprise += float((log_probs - mean).sum())
                variance += float((chances * (every - mean.unsqueeze(-1)) ** 2).sum())
        kind = "fp8" if self.fp8 else "log_probs"
        self.compared.near(found, expected, kind, f"log-probabilities of the rollout of {what}")
        self.compared.in_its_type(found, expected, f"log-probabilities of the rollout of {what}")
        deviations = surprise / math.sqrt(variance)
        assert abs(deviations) < 5, (
            f"the tokens of {what} do not follow their probabilities: off by {deviations:.1f} deviations"
        )
        self._assert_independent([draws[sample["index"]] for sample in samples], what)

    def _assert_independent(self, responses: list[list[Draw]], what: str) -> None:
        """A token is no likelier where another place drew it: within five deviations."""
        firsts = [response[0] for response in responses]
        share = len(firsts) // self.replicas
        pairs = {
            "tokens side by side": [pair for response in responses for pair in itertools.pairwise(response)],
            "samples side by side": list(itertools.pairwise(firsts)),
            "two replicas": list(zip(firsts, firsts[share:], strict=False)),
            "two steps": list(zip(self._firsts, firsts, strict=False)),
        }
        self._firsts = firsts
        for whose, some in pairs.items():
            chances = [float(weights[token]) for (token, _), (_, weights) in some]
            alike = sum(one == other for (one, _), (other, _) in some)
            deviation = math.sqrt(sum(chance * (1 - chance) for chance in chances))
            assert abs(alike - sum(chances)) <= 5 * deviation, (
                f"{whose} drew the same token {alike} times of {len(some)} in {what}: by chance {sum(chances):.0f}"
            )

    def _assert_routed(self, samples: list[Row], what: str) -> None:
        """Tokens went to the experts that the reference's routers choose; rounding may decide between two."""
        same = every = 0
        for sample, choices in zip(samples, self.policy.choices(samples), strict=True):
            found, expected = sample["routed_experts"].sort(dim=-1).values, choices[:, :-1].sort(dim=-1).values
            assert found.shape == expected.shape, f"choices of experts are {found.shape}, not {expected.shape}"
            same += int((found == expected).all(dim=-1).sum())
            every += found[..., 0].numel()
        assert same >= self.compared.tolerance("routed") * every, (
            f"{same} of {every} tokens of the rollout of {what} went to the right experts"
        )

    def _assert_prompts(self, samples: list[Row]) -> None:
        """Each group has one prompt of the data, whole, with its own answer; its text is that of its tokens."""
        prompts = [(sample["prompt"], sample["image"]) for sample in samples]
        assert prompts != self._prompts, "two steps have the same prompts"
        self._prompts = prompts
        asked = len({sample["group_index"] for sample in samples})
        assert asked == self.prompts, f"a step has {asked} prompts, not {self.prompts}"
        known = {(row["question"], row["answer"]) for row in self.problems}
        for _, group in itertools.groupby(samples, key=lambda s: s["group_index"]):
            members = list(group)
            assert len(members) == self.group_size, f"a group has {len(members)} samples, not {self.group_size}"
            assert len({(s["prompt"], s["label"], s["image"]) for s in members}) == 1, "a group has several prompts"
            prompt, label = members[0]["prompt"], members[0]["label"]
            assert any(prompt.endswith(question) and label == answer for question, answer in known), (
                "a prompt goes with another's answer"
            )
        assert len({s["index"] for s in samples}) == len(samples), "two samples have one index"
        for sample in samples:
            length = sample["response_length"]
            prompt, response = sample["tokens"][:-length], sample["tokens"][-length:]
            text = self.tokenizer.encode(sample["prompt"]).ids
            assert prompt[-len(text) :] == text, "the tokens of a prompt are not those of its text"
            shown = pictures.tokens(self.policy.config, sample["image"]) if sample["image"] else []
            assert prompt[: -len(text)] == shown, "a prompt has other tokens before its text than its picture's"
            assert sample["response"] == self.tokenizer.decode(response), "a response is not the text of its tokens"
            if self.reward:
                expected = self.reward(sample)
                assert sample["reward"] == expected, (
                    f"{sample['response']!r} earns {sample['reward']}, not {expected}"
                )

    @property
    def _eos(self) -> int:
        return int(self.policy.config.get_text_config().eos_token_id)
