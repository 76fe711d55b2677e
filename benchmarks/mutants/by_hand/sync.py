"""The weights of the rollout."""

from __future__ import annotations

from benchmarks.mutants.by_hand.fault import Fault

_P = "posttrain"
_M = "posttrain/backends/megatron"

FAULTS = [
    Fault(
        "the rollout keeps its first weights",
        "THUDM/slime issue 555",
        f"{_P}/rollout/engine.py",
        "value.copy_(rounded(name, weights[name]) if self._config.fp8_rollout else weights[name])",
        "value.copy_(value)",
    ),
    Fault(
        "the rollout gets the weights before the update",
        "THUDM/slime issue 555",
        f"{_P}/trainer.py",
        "            weights = learner.policy.weights_for_rollout()\n"
        "            sampler.update_weights(weights, version=step)",
        "            sampler.update_weights(weights, version=step)\n"
        "            weights = learner.policy.weights_for_rollout()",
    ),
    Fault(
        "the version is not the weights'",
        "THUDM/slime issue 555",
        f"{_P}/rollout/engine.py",
        "            self.version = version",
        "            self.version = version + 1",
    ),
    Fault(
        "one layer is not handed over",
        "THUDM/slime issue 1679",
        f"{_P}/rollout/engine.py",
        "            for name, value in self._model.named_parameters():\n",
        "            for name, value in list(self._model.named_parameters())[:-1]:\n",
    ),
    Fault(
        "weights are two updates old and called one",
        "common",
        f"{_P}/trainer.py",
        "            weights = learner.policy.weights_for_rollout()\n"
        "            sampler.update_weights(weights, version=step)",
        "            old, weights = weights, learner.policy.weights_for_rollout()\n"
        "            sampler.update_weights(old if config.async_rollout else weights, version=step)",
    ),
    Fault(
        "the version is that of the engine, and not of the sample",
        "THUDM/slime PR 1781",
        f"{_P}/rollout/sampler.py",
        "[sample.weights_version for sample in rollout.samples]",
        "[self._engine.version if self._engine else 0 for _ in rollout.samples]",
    ),
    Fault(
        "weights are handed over every second step",
        "NovaSky-AI/SkyRL issue 2246",
        f"{_P}/trainer.py",
        "            sampler.update_weights(weights, version=step)\n            if config.eval",
        "            sampler.update_weights(weights, version=step) if step % 2 else None\n"
        "            if config.eval",
    ),
    Fault(
        "weights are rounded on their way",
        "common",
        f"{_P}/rollout/engine.py",
        "if self._config.fp8_rollout else weights[name])",
        "if self._config.fp8_rollout else weights[name].bfloat16())",
    ),
    Fault(
        "an evaluation sees the weights before the update",
        "common",
        f"{_P}/trainer.py",
        "            weights = learner.policy.weights_for_rollout()\n"
        "            sampler.update_weights(weights, version=step)\n"
        "            if config.eval_function_path and step + 1 not in steps:\n"
        "                row |= sampler.evaluate(step)\n",
        "            if config.eval_function_path and step + 1 not in steps:\n"
        "                row |= sampler.evaluate(step)\n"
        "            weights = learner.policy.weights_for_rollout()\n"
        "            sampler.update_weights(weights, version=step)\n",
    ),
    Fault(
        "weights come in while a rollout goes on",
        "common",
        f"{_P}/trainer.py",
        "            if upcoming:\n                wait([upcoming])",
        "            if upcoming and step > config.num_steps:\n                wait([upcoming])",
    ),
    Fault(
        "experts are numbered on each rank",
        "common",
        f"{_M}/weights.py",
        "int(match[1]) + rank * experts",
        "int(match[1])",
    ),
    Fault(
        "the output layer is not handed over",
        "common",
        f"{_P}/rollout/engine.py",
        "            for name, value in self._model.named_parameters():\n                value.copy_(rounded",
        (
            "            for name, value in self._model.named_parameters():\n"
            "                if name == 'lm_head.weight':\n"
            "                    continue\n"
            "                value.copy_(rounded"
        ),
    ),
    Fault(
        "norms are handed over at first alone",
        "common",
        f"{_P}/rollout/engine.py",
        "            for name, value in self._model.named_parameters():\n                value.copy_(rounded",
        (
            "            for name, value in self._model.named_parameters():\n"
            "                if 'norm' in name and version > 1:\n"
            "                    continue\n"
            "                value.copy_(rounded"
        ),
    ),
    Fault(
        "sampling computes in float32 although bfloat16 is asked for",
        "common",
        f"{_P}/rollout/engine.py",
        "load_model(config.model_path, device, dtype_of(config, device))",
        "load_model(config.model_path, device)",
    ),
]
