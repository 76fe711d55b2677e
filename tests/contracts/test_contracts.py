"""Contracts of hooks: a good hook of each kind passes, each way of breaking one is named with its sample."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trainci import contracts
from trainci.errors import UsageError

pytestmark = pytest.mark.slow

SLIME = contracts.TABLES["slime"]

try:
    import torch  # noqa: F401
except ImportError:
    HAS_TORCH = False
else:
    HAS_TORCH = True

FACTS = [
    "rollout-function-path",
    "eval-function-path",
    "custom-generate-function-path",
    "custom-rm-path",
    "dynamic-sampling-filter-path",
    "buffer-filter-path",
    "data-source-path",
    "rollout-sample-filter-path",
    "rollout-all-samples-process-path",
    "rollout-data-postprocess-path",
    "custom-loss-function-path",
    "custom-tis-function-path",
    "custom-pg-loss-reducer-function-path",
    "custom-reward-post-process-path",
    "custom-convert-samples-to-train-data-path",
    "custom-rollout-log-function-path",
    "custom-eval-rollout-log-function-path",
    "custom-megatron-init-path",
    "custom-megatron-before-log-prob-hook-path",
    "custom-megatron-before-train-step-hook-path",
]

GENERATED = """
def finish(sample):
    sample.tokens, sample.response, sample.response_length = [1, 2, 7], "x", 1
    sample.loss_mask, sample.rollout_log_probs = [1], [-0.5]
    sample.status = type(sample).Status.COMPLETED
    return sample
"""
GOOD = {
    "rollout-function-path": GENERATED
    + """
def hook(args, rollout_id, data_source, evaluation=False):
    groups = data_source.get_samples(args.rollout_batch_size)
    for group in groups:
        for sample in group:
            finish(sample).reward = 1.0
    return groups
""",
    "eval-function-path": GENERATED
    + """
def hook(args, rollout_id, data_source, evaluation=False):
    assert evaluation
    samples = [finish(sample) for group in data_source.get_samples(2) for sample in group]
    return {"gsm8k": {"rewards": [1.0] * 4, "truncated": [False] * 4, "samples": samples}}
""",
    "custom-generate-function-path": GENERATED
    + """
async def hook(args, sample, sampling_params):
    return finish(sample)
""",
    "custom-rm-path": "async def hook(args, sample, **kwargs):\n    return float('####' in sample.response)\n",
    "dynamic-sampling-filter-path": """
def hook(args, samples, **kwargs):
    return len({sample.reward for sample in samples}) > 1
""",
    "buffer-filter-path": """
def hook(args, rollout_id, buffer, num_samples):
    taken = buffer[:num_samples]
    del buffer[:num_samples]
    return taken
""",
    "data-source-path": """
from types import SimpleNamespace
class hook:
    def __init__(self, args): self.args, self.buffer, self.path = args, [], args.save + "/place"
    def get_samples(self, num_samples):
        one = lambda: [SimpleNamespace(prompt="1 + 1?") for _ in range(self.args.n_samples_per_prompt)]
        return [one() for _ in range(num_samples)]
    def add_samples(self, samples): self.buffer += samples
    def save(self, rollout_id): open(self.path, "w").close()
    def load(self, rollout_id=None): open(self.path).close()
    def __len__(self): return len(self.buffer)
""",
    "rollout-sample-filter-path": """
def hook(args, groups):
    groups[0][1].remove_sample = True
""",
    "rollout-all-samples-process-path": "def hook(args, all_groups, data_source):\n    len(data_source)\n",
    "rollout-data-postprocess-path": """
def hook(args, rollout_id, rollout_data):
    rollout_data["loss_masks"] = [mask * 0 for mask in rollout_data["loss_masks"]]
""",
    "custom-loss-function-path": """
def hook(args, batch, logits, sum_of_sample_mean):
    picked = [row[-n:, 0] for row, n in zip(logits[0].split(batch["total_lengths"]), batch["response_lengths"])]
    import torch
    loss = sum_of_sample_mean(torch.cat(picked))
    return loss, {"loss": loss.detach()}
""",
    "custom-tis-function-path": """
def hook(args, *, pg_loss, train_log_probs, rollout_log_probs, loss_masks, **kwargs):
    import torch
    weights = (torch.cat(train_log_probs) - torch.cat(rollout_log_probs)).exp().clamp(max=args.tis_clip)
    return pg_loss * weights, loss_masks, {"tis": weights.mean()}
""",
    "custom-pg-loss-reducer-function-path": """
def hook(total_lengths, response_lengths, loss_masks, calculate_per_token_loss=False):
    return lambda losses: losses.sum() / 100
""",
    "custom-reward-post-process-path": """
def hook(args, samples):
    raw = [sample.reward for sample in samples]
    return raw, [reward - 0.5 for reward in raw]
""",
    "custom-convert-samples-to-train-data-path": """
def hook(args, samples):
    rewards = [sample.reward for sample in samples]
    return {
        "tokens": [sample.tokens for sample in samples],
        "response_lengths": [sample.response_length for sample in samples],
        "rewards": rewards, "raw_reward": rewards,
        "truncated": [int(sample.status is sample.Status.TRUNCATED) for sample in samples],
        "sample_indices": [sample.index for sample in samples],
        "loss_masks": [sample.loss_mask for sample in samples],
    }
""",
    "custom-rollout-log-function-path": """
def hook(rollout_id, args, samples, rollout_extra_metrics, rollout_time):
    return rollout_time > 1
""",
    "custom-eval-rollout-log-function-path": """
def hook(rollout_id, args, data, extra_metrics):
    return "gsm8k" in data
""",
    "custom-megatron-init-path": "def hook(args): raise SystemExit('not to be called')\n",
    "custom-megatron-before-log-prob-hook-path": "def hook(args, model, store_prefix): pass\n",
    "custom-megatron-before-train-step-hook-path": (
        "def hook(args, rollout_id, step_id, model, optimizer, opt_param_scheduler): pass\n"
    ),
}
# option, what is replaced in its good hook, by what, and what the verdict says.
BROKEN = [
    ("rollout-function-path", ", evaluation=False", "", "got an unexpected keyword argument 'evaluation'"),
    ("rollout-function-path", "def hook", "async def hook", "is async, but the trainer does not await it"),
    ("rollout-function-path", "return groups", "return groups[1:]", "gave 1, not 2 groups"),
    (
        "rollout-function-path",
        "return groups",
        "return [groups[0], groups[1][:1]]",
        "gave 1, not 2 samples in a group",
    ),
    ("rollout-function-path", ".reward = 1.0", "", "reward is None, not a number"),
    ("rollout-function-path", "return groups", "return None", "gave None, not a list of 2 groups"),
    ("rollout-function-path", "[1, 2, 7]", "[1, 2, 'x']", "tokens is not a list of int"),
    ("rollout-function-path", '"x", 1', '"x", 4', "response_length is 4, with 3 tokens"),
    ("rollout-function-path", "[1], [-0.5]", "[1, 1], [-0.5]", "gave 2, not 1 entries of loss_mask"),
    ("rollout-function-path", "[1], [-0.5]", "[2], [-0.5]", "loss_mask holds something else than 0 and 1"),
    ("rollout-function-path", "[1], [-0.5]", "[1], [0.5]", "something else than logarithms of probabilities"),
    ("rollout-function-path", "COMPLETED", "PENDING", "status is 'pending', not one of completed"),
    ("eval-function-path", "[1.0] * 4", "[1.0] * 3", "gave 4, not 3 truncated"),
    ("eval-function-path", "[1.0] * 4", "[float('inf')] * 4", "rewards[0] of 'gsm8k' is inf"),
    ("eval-function-path", "return {", "return {} and {", "returned dict {}, not a dict of at least one data set"),
    ("custom-generate-function-path", "async def", "def", "is not async, but the trainer awaits it"),
    ("custom-generate-function-path", "return finish(sample)", "finish(sample)", "gave back None without 'tokens'"),
    ("custom-generate-function-path", "return finish(sample)", "return []", "returned an empty list"),
    ("custom-generate-function-path", "return finish", "sample.index = 5; return finish", "another index than 0"),
    ("custom-rm-path", "return float", "return str", "the reward is str 'True', not a number"),
    ("custom-rm-path", "'####' in sample.response", "1 / len(sample.response)", "ZeroDivisionError"),
    ("custom-rm-path", "float('####' in sample.response)", "float('nan')", "the reward is nan"),
    ("custom-rm-path", "return", "raise SystemExit(3) #", "raised SystemExit: 3"),
    ("dynamic-sampling-filter-path", "return len", "len", "keep is None, not a bool"),
    ("dynamic-sampling-filter-path", "sample.reward", "sample.rewards", "has no attribute 'rewards'"),
    ("buffer-filter-path", "del buffer[:num_samples]", "pass", "it would be trained on twice"),
    (
        "buffer-filter-path",
        "buffer[:num_samples]\n    del",
        "buffer[:]\n    del",
        "returned 3 groups where 1 were asked",
    ),
    ("data-source-path", "def load(", "def lode(", "has no method load()"),
    ("data-source-path", "range(num_samples)", "range(1)", "gave 1, not 2 groups from get_samples(2)"),
    ("data-source-path", 'open(self.path, "w").close()', "pass", "raised FileNotFoundError"),
    ("data-source-path", "self.buffer += samples", "pass", "len() of it is 0"),
    ("data-source-path", 'prompt="1 + 1?"', 'prompt=""', "a sample without a prompt"),
    ("rollout-sample-filter-path", "remove_sample = True", "remove_sample = 1", "set remove_sample to int 1"),
    (
        "rollout-sample-filter-path",
        "groups[0][1].remove_sample = True",
        "del groups[0][1]",
        "added, dropped or reordered",
    ),
    ("rollout-sample-filter-path", "groups[0][1].remove_sample = True", "return groups", "the trainer ignores it"),
    ("rollout-all-samples-process-path", "len(data_source)", "all_groups.reverse()", "added, dropped or reordered"),
    ("rollout-data-postprocess-path", "mask * 0 for mask", "mask[:1] for mask", "'loss_masks' was dropped, or"),
    (
        "rollout-data-postprocess-path",
        'rollout_data["loss_masks"] =',
        "return",
        "returned list: the trainer ignores",
    ),
    ("custom-loss-function-path", "torch.cat(picked)", "torch.cat(picked).detach()", "the loss has no gradient"),
    ("custom-loss-function-path", "torch.cat(picked)", "torch.cat(picked) * float('inf')", "the loss is "),
    (
        "custom-loss-function-path",
        "sum_of_sample_mean(torch.cat(picked))",
        "torch.cat(picked)",
        "not a scalar tensor",
    ),
    ("custom-loss-function-path", "return loss, {", "return {", "not a pair (loss, metrics)"),
    ("custom-loss-function-path", "torch.cat(picked)", "torch.cat(picked) * 0", "is missing, zero or not finite"),
    ("custom-tis-function-path", "pg_loss * weights,", "pg_loss.sum(),", "pg_loss came back as (), not (5,)"),
    ("custom-tis-function-path", "pg_loss * weights,", "pg_loss.detach(),", "cut off from its gradient"),
    ("custom-tis-function-path", "loss_masks, {", "loss_masks[:1], {", "loss_masks came back as [(3,)]"),
    ("custom-tis-function-path", "loss_masks, **kwargs", "masks, **kwargs", "missing a required argument: 'masks'"),
    ("custom-pg-loss-reducer-function-path", "losses.sum() / 100", "losses", "of shape (5,), not a scalar"),
    ("custom-pg-loss-reducer-function-path", "return lambda losses:", "return", "raised NameError"),
    ("custom-reward-post-process-path", "return raw, ", "return ", "not a pair (raw_rewards, rewards)"),
    ("custom-reward-post-process-path", "for reward in raw", "for reward in raw[1:]", "gave 3, not 4 rewards"),
    ("custom-reward-post-process-path", "reward - 0.5", "reward / 0.0 if reward else 0.0", "ZeroDivisionError"),
    ("custom-convert-samples-to-train-data-path", '"truncated":', '"cut":', "the dict lacks 'truncated'"),
    (
        "custom-convert-samples-to-train-data-path",
        "sample.loss_mask for",
        "[1] for",
        "loss_masks[0] has 1 entries for 2",
    ),
    ("custom-convert-samples-to-train-data-path", "[sample.tokens for", "[[] for", "more than its tokens"),
    ("custom-rollout-log-function-path", "return rollout_time > 1", "pass", "returned None, not True"),
    ("custom-eval-rollout-log-function-path", ", extra_metrics", "", "too many positional arguments"),
    ("custom-megatron-init-path", "(args)", "()", "too many positional arguments"),
    ("custom-megatron-before-log-prob-hook-path", ", store_prefix", "", "too many positional arguments"),
    ("custom-megatron-before-train-step-hook-path", "step_id, ", "", "too many positional arguments"),
]
TENSORS = {contract.option for contract in SLIME.contracts if contract.needs_torch}
_numbers = itertools.count()

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a module into the current directory, under a name that was never imported; gives its hook's path."""
    monkeypatch.chdir(tmp_path)

    def module(source: str) -> str:
        name = f"contract_hooks_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(source)
        return f"{name}.hook"

    return module


def test_every_hook_of_the_facts_has_a_contract() -> None:
    assert sorted({contract.option for contract in SLIME.contracts}) == sorted(FACTS) == sorted(GOOD)


@pytest.mark.parametrize("option", GOOD)
def test_a_hook_that_keeps_its_contract_passes(write: Write, option: str) -> None:
    if option in TENSORS and not HAS_TORCH:
        pytest.skip("needs torch")
    verdict = contracts.check(SLIME.find(option), write(GOOD[option]))
    assert verdict.passed, str(verdict)
    assert bool(verdict.not_called) == option.startswith("custom-megatron")


@pytest.mark.parametrize(("option", "old", "new", "said"), BROKEN, ids=lambda value: str(value)[:40])
def test_a_hook_that_breaks_its_contract_is_told_how(
    write: Write, option: str, old: str, new: str, said: str
) -> None:
    if option in TENSORS and not HAS_TORCH:
        pytest.skip("needs torch")
    assert GOOD[option].count(old) == 1
    verdict = contracts.check(SLIME.find(option), write(GOOD[option].replace(old, new)))
    assert not verdict.passed
    assert said in verdict.problem
    assert verdict.came.startswith(("(", "async ("))
    assert SLIME.find(option).signature in str(verdict)


def test_the_sample_that_broke_it_is_shown(write: Write) -> None:
    source = "async def hook(args, sample):\n    return 1 / len(sample.response)\n"
    verdict = contracts.check(SLIME.find("custom-rm-path"), path := write(source))
    assert "response=''" in verdict.sample
    assert "index=1" in verdict.sample
    assert f"{path.partition('.')[0]}.py:2)" in verdict.problem


def test_a_group_reward_has_a_contract_of_its_own(write: Write) -> None:
    grouped = "async def hook(args, samples):\n    return [0.0 for _ in samples]\n"
    assert contracts.check(SLIME.find("custom-rm-path", "group-rm"), write(grouped)).passed
    assert not contracts.check(SLIME.find("custom-rm-path"), write(grouped)).passed
    short = grouped.replace("in samples", "in samples[1:]")
    verdict = contracts.check(SLIME.find("custom-rm-path", "group-rm"), write(short))
    assert "gave 3, not 4 rewards, one a sample" in verdict.problem


def test_settings_are_attributes_of_args(write: Write) -> None:
    path = write("async def hook(args, sample):\n    return args.scale * 1.0\n")
    contract = SLIME.find("custom-rm-path")
    verdict = contracts.check(contract, path)
    assert "args has no 'scale' in a contract check; give it with --set scale=VALUE" in verdict.problem
    assert f"{path.partition('.')[0]}.py:2)" in verdict.problem, "the hook's line, not one of ours"
    assert contracts.check(contract, path, {"scale": 2}).passed


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def hoook(): pass\n", "has no 'hook'; did you mean 'hoook'?"),
        ("hook = 3\n", "'hook' of "),
        ("hook = 3\n", "is not callable, but of type int"),
        (
            "\nimport no_such_package_of_anyone\n",
            "imports 'no_such_package_of_anyone', which is not installed here (",
        ),
        ("x = 1\ndef hook(:\n", "raised SyntaxError"),
        ("x = 1\ndef hook(:\n", ".py:2)"),
        ("\n\n1 / 0\n", "raised ZeroDivisionError: division by zero ("),
        ("\n\n1 / 0\n", ".py:3)"),
        ("import sys\nsys.exit()\n", "raised SystemExit"),
    ],
)
def test_a_hook_that_cannot_be_loaded_says_why_and_where(write: Write, source: str, said: str) -> None:
    verdict = contracts.check(SLIME.find("custom-rm-path"), write(source))
    assert not verdict.passed
    assert said in verdict.problem


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("no_such_package_of_anyone.rm.score", "there is no module 'no_such_package_of_anyone'; looked in /"),
        ("trainci.no_such_module.score", "there is no module 'trainci.no_such_module'"),
        ("score", "'score' is not a function path; write package.module.function"),
        ("my-pkg.rm.score", "is not a function path"),
        ("", "is not a function path"),
        ("builtins.iter", "its signature cannot be read"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_so(write: Write, path: str, said: str) -> None:
    verdict = contracts.check(SLIME.find("custom-rm-path"), path)
    assert said in verdict.problem


def test_an_unknown_hook_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no hook 'custom-reward-path'; there are: rollout-function-path"):
        SLIME.find("custom-reward-path")


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a host where torch is not installed: importing it raises ModuleNotFoundError."""
    monkeypatch.setitem(sys.modules, "torch", None)


@pytest.mark.parametrize("option", sorted(TENSORS))
@pytest.mark.parametrize("imports", ["", "import torch\n"])
def test_without_torch_the_verdict_says_that_only_the_signature_was_compared(
    write: Write, without_torch: None, option: str, imports: str
) -> None:
    verdict = contracts.check(SLIME.find(option), write(imports + GOOD[option]))
    assert verdict.passed
    assert "torch is not installed here" in str(verdict) or "which is not installed here" in str(verdict)
    assert "signature only: " in str(verdict)
    assert "read, not loaded" in str(verdict) or not imports


def test_without_torch_a_wrong_signature_still_fails(write: Write, without_torch: None) -> None:
    source = "import torch\n@torch.compile\ndef hook(args, batch, *, scale: torch.Tensor = torch.ones(1)): pass\n"
    verdict = contracts.check(SLIME.find("custom-loss-function-path"), write(source))
    assert verdict.problem.endswith("too many positional arguments")
    assert verdict.came == "(args, batch, *, scale=None)"


def test_without_torch_an_absent_function_still_fails(write: Write, without_torch: None) -> None:
    verdict = contracts.check(SLIME.find("custom-loss-function-path"), write("import torch\n"))
    assert "defines no function 'hook', and it cannot be imported without torch" in verdict.problem


ENDLESS = {
    "loop": "async def hook(args, sample):\n    while True:\n        pass\n",
    "await": """import asyncio
async def hook(args, sample):
    await one()
async def one():
    await asyncio.Event().wait()
""",
    "sleep": "import time\nasync def hook(args, sample):\n    time.sleep(1e6)\n",
    "retry": """import time
async def hook(args, sample):
    while True:
        try:
            time.sleep(1e6)
        except Exception:
            pass
""",
    "import": "import threading\nthreading.Event().wait()\n",
}
WHERE = {"loop": (2, 3), "await": (5,), "sleep": (3,), "retry": (5,), "import": (2,)}


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_hook_that_never_returns_is_ended_and_its_stack_shown(write: Write, kind: str) -> None:
    path = write(ENDLESS[kind])
    verdict = contracts.check(SLIME.find("custom-rm-path"), path, limit=contracts.Limit(0.5))
    assert not verdict.passed
    assert verdict.problem.startswith("has not ended after 0.5 s")
    places = [f"{path.partition('.')[0]}.py:{line}, in " for line in WHERE[kind]]
    assert any(place in verdict.problem for place in places), verdict.problem
    if kind != "import":
        assert "index=0" in verdict.sample, "what it was given"


class AlarmOfTheRunner(BaseException):
    """What an alarm of a test runner raises."""


@pytest.fixture
def alarm() -> Iterator[Callable[[float], None]]:
    """An alarm in so many seconds, as pytest-timeout sets one."""

    def ring(*_: object) -> None:
        raise AlarmOfTheRunner

    before = signal.signal(signal.SIGALRM, ring)
    outer = signal.setitimer(signal.ITIMER_REAL, 0)

    def set_alarm(seconds: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)

    yield set_alarm
    signal.signal(signal.SIGALRM, before)
    signal.setitimer(signal.ITIMER_REAL, *outer)


@pytest.mark.parametrize("source", [GOOD["custom-rm-path"], ENDLESS["loop"]])
def test_an_alarm_that_comes_later_still_comes(write: Write, alarm: Callable[[float], None], source: str) -> None:
    alarm(1000)
    handler = signal.getsignal(signal.SIGALRM)
    contracts.check(SLIME.find("custom-rm-path"), write(source), limit=contracts.Limit(1))
    assert 800 < signal.getitimer(signal.ITIMER_REAL)[0] <= 1000
    assert signal.getsignal(signal.SIGALRM) is handler


def test_an_alarm_that_comes_earlier_comes_alone(write: Write, alarm: Callable[[float], None]) -> None:
    path = write(ENDLESS["import"])
    alarm(0.5)
    verdict = contracts.check(SLIME.find("custom-rm-path"), path, limit=contracts.Limit(500))
    assert "raised AlarmOfTheRunner" in verdict.problem


# A lock that C code waits for heeds no signal; what swallows every exception heeds no exception.
DEAF = {
    "C": "import ctypes\nasync def score(args, sample):\n    ctypes.PyDLL(None).sleep(1000000)\n",
    "disarms": """import ctypes, faulthandler, signal
async def score(args, sample):
    faulthandler.cancel_dump_traceback_later()
    signal.setitimer(signal.ITIMER_REAL, 0)
    ctypes.PyDLL(None).sleep(1000000)
""",
    "blocks": """import signal, time
async def score(args, sample):
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        time.sleep(1e6)
""",
    "swallows": """
async def score(args, sample):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
""",
    "thread": """import asyncio, time
async def score(args, sample):
    await asyncio.to_thread(time.sleep, 1e6)
""",
}


IMPATIENT = """import sys
from trainci.__main__ import main
from trainci.contracts import apart
apart._GRACE_S = 0.4
sys.exit(main())
"""


@pytest.mark.parametrize("kind", DEAF)
def test_a_hook_that_cannot_be_interrupted_is_ended_with_its_stack_and_the_next_is_checked(
    tmp_path: Path, kind: str
) -> None:
    (tmp_path / "deaf.py").write_text(DEAF[kind])
    (tmp_path / "good.py").write_text("def keep(args, samples):\n    return True\n")
    hooks = ["--custom-rm-path", "deaf.score", "--dynamic-sampling-filter-path", "good.keep"]
    done = subprocess.run(
        [sys.executable, "-c", IMPATIENT, "contracts", "check", "--timeout", "0.5", *hooks],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "has not ended after 0.5 s; it was at\n" in done.stdout
    assert "deaf.py" in done.stdout and " in score\n" in done.stdout
    assert "passed  --dynamic-sampling-filter-path good.keep\n1 of 2 hooks passed.\n" in done.stdout


ENDS_ITS_PROCESS = {
    "leaves": ("import os\nasync def score(args, sample):\n    os._exit(0)\n", "with exit code 0"),
    "leaves at its import": ("import os\nos._exit(0)\n", "with exit code 0"),
    "is killed": ("import os\nasync def score(args, sample):\n    os.kill(os.getpid(), 9)\n", "by SIGKILL"),
    "crashes": (
        "import ctypes\nasync def score(args, sample):\n    ctypes.string_at(0)\n",
        "by SIGSEGV; it was at\n",
    ),
}


@pytest.mark.parametrize("kind", ENDS_ITS_PROCESS)
def test_a_hook_that_ends_its_process_has_broken_its_contract_and_the_next_is_checked(tmp_path, kind: str) -> None:
    source, said = ENDS_ITS_PROCESS[kind]
    (tmp_path / "ends.py").write_text(source)
    (tmp_path / "good.py").write_text("def keep(args, samples):\n    return True\n")
    done = contracts_check(
        tmp_path, "--custom-rm-path", "ends.score", "--dynamic-sampling-filter-path", "good.keep"
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert f"ended its process {said}" in done.stdout
    assert "passed  --dynamic-sampling-filter-path good.keep\n1 of 2 hooks passed.\n" in done.stdout


LEAVES = {
    "thread": "from threading import Event, Thread\n{}\n    Thread(target=Event().wait).start()\n    return 1.0\n",
    "process": "import os, time\n{}\n    if os.fork() == 0:\n        time.sleep(1e6)\n    return 1.0\n",
    "fork": "import os\n{}\n    os.fork()\n    return 1.0\n",
}


@pytest.mark.parametrize("kind", LEAVES)
def test_what_a_hook_leaves_running_is_not_waited_for_and_ends(tmp_path: Path, kind: str) -> None:
    (tmp_path / "leaves.py").write_text(LEAVES[kind].format("async def score(args, sample):"))
    # Its pipe is closed once the last process is gone that has it.
    done = contracts_check(tmp_path, "--custom-rm-path", "leaves.score")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "passed  --custom-rm-path leaves.score\n1 of 1 hooks passed.\n"


def contracts_check(directory: Path, *hooks: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trainci", "contracts", "check", *hooks]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "1e12"])
def test_a_time_limit_is_a_length_of_time(seconds: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trainci", "contracts", "check", "--timeout", seconds, "--custom-rm-path", "a.b"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "--timeout" in done.stderr


CONTRACT_FILE = """
from trainci import contracts

NUM_GPUS = 0
HOOKS = {"custom-rm-path": "rewards.score"}

def test_hooks_keep_their_contracts():
    contracts.require(HOOKS)

if __name__ == "__main__":
    contracts.main(HOOKS)
"""


@pytest.fixture
def contract_file(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a contract test file from the root of its repository."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_it.py").write_text(CONTRACT_FILE)
    (tmp_path / "rewards.py").write_text(
        "async def score(args, sample):\n    return 1.0\nasync def bad(args, sample):\n    return None\n"
    )

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 0, "passed  --custom-rm-path rewards.score\n1 of 1 hooks passed.\n"),
        (["--custom-rm-path", "rewards.bad"], 1, "the reward is None, not a number"),
        (["--custom-rm-path", "rewards.score", "--group-rm"], 1, "gave float 1.0, not a list of 4 rewards"),
        (["--set", "x"], 2, "--set 'x': write NAME=VALUE"),
        (["--rollout-function-path", "a.b"], 2, "unrecognized arguments"),
    ],
)
def test_a_contract_file_runs_directly(contract_file, arguments: list[str], code: int, said: str) -> None:
    ended = contract_file("tests/test_it.py", *arguments)
    assert ended.returncode == code, ended.stderr
    assert said in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_contract_file_runs_under_pytest(contract_file, tmp_path: Path) -> None:
    assert contract_file("-m", "pytest", "-q", "tests/test_it.py").returncode == 0
    (tmp_path / "rewards.py").write_text("async def score(args, sample):\n    return None\n")
    ended = contract_file("-m", "pytest", "-q", "tests/test_it.py")
    assert ended.returncode == 1
    assert "the reward is None, not a number" in ended.stdout


def test_neither_torch_nor_click_is_imported() -> None:
    program = "import sys, trainci.contracts; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "numpy", "pydantic", "rich", "click", "pytest"} & set(loaded.split())


def in_range(hook: contracts.Hook) -> None:
    if not 0 <= hook.call(hook.args(scale=2), "text", sample={"text": "text"}) <= 9:
        raise contracts.Violation("the score is not between 0 and 9")


OWN = contracts.Table((contracts.Contract("score-path", ("args", "text"), "a number", in_range, switch="strict"),))


def test_another_trainers_hooks_are_a_table_of_a_few_lines(write: Write) -> None:
    path = write("def hook(args, text):\n    return args.scale * len(text)\n")
    contracts.require({"score-path": path}, table=OWN, switches=["strict"])
    with pytest.raises(AssertionError) as broken:
        contracts.require({"score-path": path}, {"scale": 3}, table=OWN)
    assert "the score is not between 0 and 9\n          expected: (args, text) -> a number\n" in str(broken.value)
    assert "sample:   {'text': 'text'}" in str(broken.value)


@pytest.mark.parametrize(
    ("hooks", "switches", "said"),
    [
        ({"custom-rm-path": "a.b"}, [], "there is no hook 'custom-rm-path'; there are: score-path"),
        (
            {"score-path": "a.b"},
            ["group-rm"],
            "no switch .group-rm. .*; there are: strict",
        ),
    ],
)
def test_a_table_names_its_own_hooks_and_switches(hooks: dict[str, str], switches: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        contracts.require(hooks, table=OWN, switches=switches)
