"""Holds the first steps of a run to the reference: what was sampled, credited and learned, number by number."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from _network import Network
from posttrain.arguments import parse_args
from reference import loss, optimizer, prediction, rewards, sampling, step
from tokenizers import Tokenizer
from torch import Tensor

Row = dict[str, Any]
T = TypeVar("T")
Draw = tuple[int, Tensor]
"""A token that was sampled, and the probabilities of all."""

# float32 against float64: the largest gap that was seen, ten times over. In bfloat16, whose mantissa has 8 bits, a
# token may go to another expert: there it is the mean gap, three times over.
TOLERANCES = {
    "float32": {"log_probs": 2e-5, "fp8": 1e-3, "terms": 2e-5, "norm": 2e-4, "routed": 0.99},
    "bfloat16": {"log_probs": 0.03, "fp8": 0.1, "terms": 0.02, "norm": 0.05, "routed": 0.75},
}
GRADIENTS = 1e-3
"""In float32, of a parameter's largest gradient."""
WEIGHTS = 0.002
"""In float32: how far a weight may move otherwise than Adam does, in learning rates."""
COSINES = {"gradients": 0.99, "moves": 0.9}
"""In bfloat16, between what a run has and the reference, all parameters together; lengths agree to 10 %."""
_SHOWN = 64
"""In bfloat16, in learning rates: the steps between larger weights round away what Adam moves them by."""
_FAR_FROM_NOTHING = 1e-2
"""Of a tensor's largest gradient: below, Adam's first steps are all sign, and rounding decides it."""


@dataclass
class Held:
    """A recorded run, and what its command line said, once more."""

    directory: Path
    """What ``_recorder`` wrote, and ``rollouts`` within it."""
    model_path: Path
    rows: Sequence[Row]
    settings: step.Settings
    temperature: float = 1.0
    learning_rate: float = 2e-3
    critic_learning_rate: float = 2e-3
    largest_norm: float = 1.0
    clipped_gradients: bool = False
    """FSDP's optimizer is handed gradients that are clipped already, Megatron's clips them itself."""
    mtp_weight: float = 0.0
    fp8: bool = False
    longest: int = 3
    sampled: bool = True
    """Its rollouts were sampled by its own policy, not made up."""
    replicas: int = 1
    shards: int = 1
    """In how many files the recorder writes one model."""
    group_size: int = 8
    problems: Sequence[Row] = ()
    replayed: bool = False
    """Its experts were chosen by the rollout: what training computed is not this model's."""
    teacher: Path | None = None
    reward: Callable[[Row], float] | None = None
    """What a sample should earn, where the reference knows the rule."""
    moved: bool = False
    """See ``_recorder.record_moved``."""
    _weights: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    _firsts: list[Draw] = field(default_factory=list)
    """The first tokens of the last step's responses."""
    _prompts: list[tuple[str, str | None]] = field(default_factory=list)
    _counts: list[int] = field(default_factory=list)
    """How many samples each replica has in the step."""

    def assert_steps(self, count: int) -> None:
        """The first ``count`` steps, from the checkpoint on the disk."""
        torch.set_num_threads(1)
        self.policy = Network(self.model_path)
        self.judge = Network(self.teacher) if self.teacher else None
        self.tokenizer = Tokenizer.from_file(str(self.model_path / "tokenizer.json"))
        self._weights[0] = self.policy.weights()
        self.adam = _adam(self.learning_rate)
        self.critic: Network | None = None
        dtype = self.rows[1]["dtype"]
        self.tolerance, self.exact = TOLERANCES[dtype], dtype == "float32"
        for number in range(1, count + 1):
            self._assert_step(number)

    def _assert_step(self, number: int) -> None:
        row = self.rows[number]
        samples = self._samples(number)
        recorded = self._data(number)
        what = f"step {number}"
        if self.sampled:
            self._assert_sampled(samples, what)
        if self.judge:
            with torch.no_grad():
                taught = _log_probs(self.judge, samples, 1.0)
            found = [torch.tensor(sample["teacher_log_probs"]) for sample in samples]
            self._near(found, taught, "log_probs", f"the teacher's log-probabilities of {what}")
        responses = [_response(sample, recorded) for sample in samples]
        learning = sum(int(response.learns.sum()) for response in responses)
        assert row["tokens"] == learning, f"{row['tokens']} tokens of {what} learned, and not {learning}"
        if self.replayed:
            update = self._recorded("policy", number)
            assert update, f"{what} did not train the policy"
            after = update["after"]
            self._weights[number] = {name: after[name].double() for name in self._weights[0]}
            return
        self.policy.load(self._weights[number - 1])
        new = _log_probs(self.policy, samples, self.temperature)
        self._near(
            _rows(recorded, samples, "own_log_probs", "log_probs"), new, "log_probs", f"log-probabilities of {what}"
        )
        if self.exact:
            gaps = torch.cat(new) - torch.cat([response.rollout for response in responses])
            self._close(row["log_prob_gap"], float(gaps.detach().abs().max()), f"log_prob_gap of {what}")
            shares = (
                gaps.detach().abs().split([sum(r.length for r in part) for part in self._by_replica(responses)])
            )
            mean = sum(float(share.mean()) for share in shares) / len(shares)
            self._close(row["mean_log_prob_gap"], mean, f"mean_log_prob_gap of {what}")
        values, critic_file = self._values(samples, recorded, number, what)
        batch = step.credited(responses, new, self.settings, values)
        self._near(
            _rows(recorded, samples, "advantages"),
            batch.advantages,
            "terms",
            f"advantages of {what}",
            scale=10.0,
        )
        if critic_file is not None:
            returns = _rows(recorded, samples, "returns")
            self._near(returns, batch.returns, "terms", f"returns of {what}", scale=10.0)
        if self.moved:
            old = [row.double() for row in _rows(recorded, samples, "log_probs")]
            before = [row.double() for row in _rows(recorded, samples, "values")] if critic_file else []
            batch = replace(batch, old=old, old_values=before)
        if critic_file is not None:
            self._assert_critic(responses, values, batch, critic_file, row, what)
        update = self._recorded("policy", number)
        if update:
            self._assert_policy(samples, responses, new, batch, update, row, number, what)
        else:
            assert "loss" not in row, f"{what} trained the policy, and its gradients were not recorded"
            self._weights[number] = self._weights[number - 1]

    def _samples(self, number: int) -> list[Row]:
        files = sorted((self.directory / "rollouts").glob(f"step-{number}-replica-*-of-{self.replicas}.pt"))
        assert len(files) == self.replicas, f"{len(files)} replicas wrote rollouts, not {self.replicas}"
        parts = [torch.load(file)["samples"] for file in files]
        if self.sampled:
            for ours, theirs in itertools.combinations(parts, 2):
                shared = {s["group_index"] for s in ours} & {s["group_index"] for s in theirs}
                assert not shared, f"groups {shared} were sampled by two replicas"
        self._counts = [len(part) for part in parts]
        return [sample for part in parts for sample in part]

    def _by_replica(self, responses: Sequence[T]) -> list[Sequence[T]]:
        ends = list(itertools.accumulate(self._counts))
        return [responses[end - count : end] for end, count in zip(ends, self._counts, strict=True)]

    def _recorded(self, whose: str, number: int) -> Row | None:
        """The update of a step, put together from the shards of its ranks; None: there was none."""
        parts = [torch.load(file) for file in sorted(self.directory.glob(f"{whose}-{number}-rank-*.pt"))]
        assert len(parts) in (0, self.shards), (
            f"{len(parts)} of {self.shards} ranks took step {number} of the {whose}"
        )
        if len(parts) < 2:
            return parts[0] if parts else None
        return {
            kind: {name: torch.cat([part[kind][name] for part in parts]) for name in tensors}
            for kind, tensors in parts[0].items()
        }

    def _data(self, number: int) -> dict[int, Row]:
        """By the sample's index; ranks of one replica must have the same."""
        found: dict[int, Row] = {}
        for file in sorted(self.directory.glob(f"data-{number}-rank-*.pt")):
            data = torch.load(file)
            for place, index in enumerate(data.pop("sample_indices")):
                entry = {name: rows[place] for name, rows in data.items()}
                for name, value in found.get(index, entry).items():
                    gap = (value.double() - entry[name].double()).abs().max() if value.numel() else 0.0
                    assert gap < 1e-5, f"ranks differ in the {name} of sample {index}"
                found[index] = entry
        return found

    def _assert_sampled(self, samples: list[Row], what: str) -> None:
        """Log-probabilities, endings, and that the tokens follow the probabilities: within five deviations."""
        self._assert_prompts(samples)
        surprise = variance = 0.0
        found: list[Tensor] = []
        expected: list[Tensor] = []
        draws: dict[int, list[Draw]] = {}
        for version, ours in itertools.groupby(
            sorted(samples, key=lambda s: s["weights_version"]), key=lambda s: s["weights_version"]
        ):
            assert version in self._weights, f"{what} has samples of version {version}, which came later"
            self.policy.load(self._weights[version])
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
                weights, every = every.exp(), every.clamp(min=-1e9)  # of what cannot be, 0 times minus infinity
                draws[sample["index"]] = list(zip(sample["tokens"][-length:], weights, strict=True))
                mean = (weights * every).sum(dim=-1)
                surprise += float((log_probs - mean).sum())
                variance += float((weights * (every - mean.unsqueeze(-1)) ** 2).sum())
        kind = "fp8" if self.fp8 else "log_probs"
        self._near(found, expected, kind, f"log-probabilities of the rollout of {what}")
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
        assert same >= self.tolerance["routed"] * every, (
            f"{same} of {every} tokens of the rollout of {what} went to the right experts"
        )

    def _assert_prompts(self, samples: list[Row]) -> None:
        """Each group has one prompt of the data, whole, with its own answer; its text is that of its tokens."""
        prompts = [(sample["prompt"], sample["image"]) for sample in samples]
        assert prompts != self._prompts, "two steps have the same prompts"
        self._prompts = prompts
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
            assert len(prompt) == len(text) or sample["image"], "a prompt has more tokens than its text"
            assert sample["response"] == self.tokenizer.decode(response), "a response is not the text of its tokens"
            if self.reward:
                expected = self.reward(sample)
                assert sample["reward"] == expected, (
                    f"{sample['response']!r} earns {sample['reward']}, not {expected}"
                )

    @property
    def _eos(self) -> int:
        return int(self.policy.config.get_text_config().eos_token_id)

    def _values(
        self, samples: list[Row], recorded: dict[int, Row], number: int, what: str
    ) -> tuple[list[Tensor], Row | None]:
        file = self._recorded("critic", number)
        if file is None:
            return [], None
        if self.critic is None:
            self.critic = Network(self.model_path, file["before"]["lm_head.weight"])
            self.critic_adam = _adam(self.critic_learning_rate)
        self._assert_same_weights(file["before"], self.critic, f"the critic before {what}")
        values = [
            output[-sample["response_length"] - 1 : -1, 0]
            for output, sample in zip(self.critic.outputs(samples), samples, strict=True)
        ]
        self._near(
            _rows(recorded, samples, "own_values", "values"), values, "log_probs", f"values of {what}", scale=5.0
        )
        return values, file

    def _assert_critic(
        self,
        responses: list[step.Response],
        values: list[Tensor],
        batch: step.Batch,
        file: Row,
        row: Row,
        what: str,
    ) -> None:
        assert self.critic
        value, gradients = step.gradients(
            self.critic.model, lambda: step.critic_loss(responses, values, batch, self.settings)
        )
        self._close(row["critic_loss"], value, f"critic_loss of {what}")
        if self.exact:
            means = [float(torch.cat(list(part)).mean()) for part in self._by_replica(batch.old_values)]
            self._close(row["value"], sum(means) / len(means), f"value of {what}")
            errors = [(now.detach() - due).abs() for now, due in zip(values, batch.returns, strict=True)]
            learns = [response.learns for response in responses]
            self._close(
                row["value_error"],
                float(loss.mean(errors, learns, self.settings.per_token)),
                f"value_error of {what}",
            )
        self._assert_update(
            file, self.critic, self.critic_adam, gradients, row["critic_grad_norm"], f"the critic at {what}"
        )

    def _assert_policy(
        self,
        samples: list[Row],
        responses: list[step.Response],
        new: list[Tensor],
        batch: step.Batch,
        file: Row,
        row: Row,
        number: int,
        what: str,
    ) -> None:
        terms = step.policy_terms(responses, new, batch, self.settings)
        self._assert_same_weights(file["before"], self.policy, f"the policy before {what}")
        self._close(row["clip_fraction"], terms.clip_fraction, f"clip_fraction of {what}")
        if terms.importance is not None:
            self._close(row["tis_weight"], terms.importance, f"tis_weight of {what}")
        guessing = torch.zeros((), dtype=torch.float64)
        if self.mtp_weight:
            guessing = self._mtp_loss(samples, responses)
            self._close(row["mtp_loss"], float(guessing.detach()), f"mtp_loss of {what}")
        self._close(row["loss"], float(terms.loss.detach()), f"loss of {what}")
        _, gradients = step.gradients(self.policy.model, lambda: terms.loss + self.mtp_weight * guessing)
        self._assert_update(file, self.policy, self.adam, gradients, row["grad_norm"], f"the policy at {what}")
        self._weights[number] = self.policy.weights()

    def _mtp_loss(self, samples: list[Row], responses: list[step.Response]) -> Tensor:
        losses = []
        for guesses, sample, response in zip(self.policy.guesses(samples), samples, responses, strict=True):
            first = len(sample["tokens"]) - response.length
            losses.append(prediction.cross_entropy(guesses, sample["tokens"], 1, first))
        return loss.mean(losses, [response.learns for response in responses], self.settings.per_token)

    def _assert_update(
        self,
        file: Row,
        network: Network,
        adam: optimizer.Adam,
        gradients: dict[str, Tensor],
        norm: float,
        whose: str,
    ) -> None:
        """The gradients one by one, their norm, and the weights after the step; the model goes on from those."""
        expected = optimizer.norm(gradients)
        assert abs(norm - expected) <= self.tolerance["norm"] * expected + 1e-7, (
            f"the gradient norm of {whose} is {norm:.6g}, not {expected:.6g}"
        )
        clipped = optimizer.clip(gradients, self.largest_norm)
        compared = clipped if self.clipped_gradients else gradients
        found = {
            name: file["gradients"].get(name, torch.zeros_like(one)).double() for name, one in compared.items()
        }
        before = network.weights()
        moves = {name: weight - before[name] for name, weight in adam.step(before, clipped).items()}
        moved = {name: file["after"][name].double() - before[name] for name in moves}
        if not self.exact:
            _assert_one_direction(found, compared, "gradients", whose)
            shown = {name: weight.abs() < _SHOWN * adam.learning_rate for name, weight in before.items()}
            of_those = [{name: some[name] * shown[name] for name in moves} for some in (moved, moves)]
            _assert_one_direction(*of_those, "moves", whose)
        for name in compared if self.exact else ():
            true = compared[name]
            scale = max(float(true.abs().max()), 1e-5 * expected, 1e-12)
            gap = float((found[name] - true).abs().max()) / scale
            assert gap <= GRADIENTS, f"the gradient of {name} of {whose} is off by {gap:.2e} of its largest number"
            clear = true.abs() > _FAR_FROM_NOTHING * true.abs().max()
            gap = float(((moved[name] - moves[name]).abs() * clear).max()) / adam.learning_rate
            assert gap <= WEIGHTS, f"{name} of {whose} moved otherwise than Adam does: by {gap:.2e} learning rates"
        network.load({name: before[name] + moved[name] for name in before})

    def _assert_same_weights(self, found: Row, network: Network, whose: str) -> None:
        for name, value in network.weights().items():
            gap = float((found[name].double() - value).abs().max())
            assert gap <= (0.0 if self.exact else 1e-2), (
                f"{name} of {whose} differs by {gap:.2e} from what it should be"
            )

    def _near(
        self, found: Sequence[Tensor], expected: Sequence[Tensor], kind: str, what: str, scale: float = 1.0
    ) -> None:
        for ours, true in zip(found, expected, strict=True):
            assert ours.shape == true.shape, f"{what} are {tuple(ours.shape)}, not {tuple(true.shape)}"
        gaps = (torch.cat(list(found)).double() - torch.cat(list(expected)).detach()).abs()
        gap, tolerance = float(gaps.max() if self.exact else gaps.mean()), self.tolerance[kind] * scale
        assert gap <= tolerance, f"{what} are off by {gap:.2e}, more than {tolerance:.0e}"

    def _close(self, found: float, expected: float, what: str) -> None:
        tolerance = self.tolerance["terms"]
        assert abs(found - expected) <= tolerance * (1 if abs(expected) < 1 else abs(expected)), (
            f"{what} is {found:.8g}, and the reference's {expected:.8g}"
        )


def _assert_one_direction(found: dict[str, Tensor], expected: dict[str, Tensor], kind: str, whose: str) -> None:
    """And of one length."""
    ours, theirs = (torch.cat([some[name].flatten() for name in expected]) for some in (found, expected))
    if theirs.norm() > 0:
        cosine, length = (
            float(ours @ theirs / (ours.norm() * theirs.norm()).clamp(min=1e-12)),
            ours.norm() / theirs.norm(),
        )
        assert cosine > COSINES[kind], f"the {kind} of {whose} point elsewhere: the cosine is {cosine:.3f}"
        assert 0.9 < length < 1.1, f"the {kind} of {whose} are {length:.3f} times as long as they should be"


def _adam(learning_rate: float) -> optimizer.Adam:
    return optimizer.Adam(learning_rate, beta1=0.9, beta2=0.95, epsilon=1e-8, weight_decay=0.0)


def _log_probs(network: Network, samples: Sequence[Row], temperature: float) -> list[Tensor]:
    """Of the tokens of each response."""
    return [
        sampling.log_probs(output, sample["tokens"], sample["response_length"], temperature)
        for output, sample in zip(network.outputs(samples), samples, strict=True)
    ]


def _rows(recorded: dict[int, Row], samples: Sequence[Row], *names: str) -> list[Tensor]:
    """Of each sample the first of ``names`` that was recorded."""
    entries = [recorded[sample["index"]] for sample in samples]
    return [next(entry[name] for name in names if name in entry) for entry in entries]


def _response(sample: Row, recorded: dict[int, Row]) -> step.Response:
    length = sample["response_length"]
    mask = [0] * length if sample["remove_sample"] else sample["loss_mask"] or [1] * length
    entry = recorded[sample["index"]]
    assert entry["tokens"].tolist() == sample["tokens"], f"training saw other tokens of sample {sample['index']}"
    assert entry["loss_masks"].tolist() == mask, f"training saw another mask of sample {sample['index']}"
    return step.Response(
        group=sample["group_index"],
        tokens=sample["tokens"],
        length=length,
        rollout=torch.tensor(sample["rollout_log_probs"], dtype=torch.float64),
        reward=sample["reward"],
        learns=torch.tensor(mask, dtype=torch.float64),
        teacher=torch.tensor(sample["teacher_log_probs"] or [], dtype=torch.float64),
    )


def assert_held(
    command: Sequence[str],
    directory: Path,
    rows: Sequence[Row],
    *,
    ranks: int,
    steps: int,
    teacher: Path | None = None,
) -> None:
    """Hold a run of ``command`` on so many ranks, recorded in ``directory``, and its ``teacher``, a checkpoint."""
    config = parse_args(command)
    settings = step.Settings(
        estimator=config.advantage_estimator,
        per_token=config.per_token_loss,
        low=config.clip_low,
        high=config.clip_high,
        largest_weight=config.tis_clip if config.use_tis else None,
        gamma=config.gae_gamma,
        lam=config.gae_lambda,
        value_clip=config.value_clip,
    )
    Held(
        directory,
        config.model_path,
        rows,
        settings,
        temperature=config.temperature,
        learning_rate=config.learning_rate,
        critic_learning_rate=config.critic_learning_rate,
        largest_norm=config.max_grad_norm,
        clipped_gradients=config.backend == "fsdp",
        mtp_weight=config.mtp_loss_weight,
        fp8=config.fp8_rollout,
        longest=config.max_new_tokens,
        group_size=config.samples_per_prompt,
        problems=[json.loads(line) for line in config.data_path.read_text().splitlines()],
        sampled=config.load_rollout is None,
        shards=ranks if config.backend == "fsdp" else 1,
        replicas=ranks // (config.tensor_parallel * config.pipeline_parallel * config.context_parallel),
        replayed=config.routing_replay,
        teacher=teacher,
        reward={
            "posttrain.hooks.rule_based_reward": lambda sample: rewards.by_rule(
                sample["response"], sample["label"]
            ),
            "posttrain.hooks.digit_share": lambda sample: rewards.digits(sample["response"], config.max_new_tokens),
        }.get(config.custom_rm_path),
        moved=config.rollout_data_postprocess_path == "tests._recorder.record_moved",
    ).assert_steps(steps)
