"""The loss of the policy and how it is averaged."""

from __future__ import annotations

from benchmarks.mutants.by_hand.fault import Fault

_P = "posttrain"
_M = "posttrain/backends/megatron"

FAULTS = [
    Fault(
        "clip bounds swapped",
        "huggingface/trl PR 3867",
        f"{_P}/training/grpo.py",
        "ratio.clamp(1 - clip_low, 1 + clip_high)",
        "ratio.clamp(1 - clip_high, 1 + clip_low)",
    ),
    Fault(
        "the upper bound is ignored",
        "huggingface/trl PR 4530",
        f"{_P}/training/grpo.py",
        "ratio.clamp(1 - clip_low, 1 + clip_high)",
        "ratio.clamp(min=1 - clip_low)",
    ),
    Fault(
        "the optimist's bound: max for min",
        "pytorch/rl PR 1033",
        f"{_P}/training/grpo.py",
        "-torch.minimum(free, clipped)",
        "-torch.maximum(free, clipped)",
    ),
    Fault(
        "the ratio is upside down",
        "unslothai/unsloth-zoo PR 870",
        f"{_P}/training/grpo.py",
        "torch.exp(log_probs - old_log_probs)",
        "torch.exp(old_log_probs - log_probs)",
    ),
    Fault(
        "tokens are averaged by the micro-batch",
        "verl-project/verl issue 5625",
        f"{_P}/training/objective.py",
        'return (losses * given["loss_weights"]).sum(), metrics',
        'return (losses * given["loss_weights"]).sum() / given["loss_weights"].sum(), metrics',
    ),
    Fault(
        "tokens are counted on this replica only",
        "verl-project/verl PR 5993",
        f"{_P}/learner.py",
        "tokens=max(tokens, 1)",
        "tokens=max(own[0], 1)",
    ),
    Fault(
        "samples are counted on this replica only",
        "pytorch/torchtitan PR 2206",
        f"{_P}/learner.py",
        'samples=data["all_samples"], per_token',
        "samples=own[1], per_token",
    ),
    Fault(
        "the sample's sum is not divided by its length",
        "THUDM/slime issue 919",
        f"{_P}/training/data.py",
        "mask / mask.sum().clamp(min=1) / samples",
        "mask / samples",
    ),
    Fault(
        "padding counts in a sample's mean",
        "huggingface/trl issue 3021",
        f"{_P}/training/data.py",
        "mask / mask.sum().clamp(min=1) / samples",
        "mask / len(mask) / samples",
    ),
    Fault(
        "the two ways to average are swapped",
        "allenai/open-instruct PR 1137",
        f"{_P}/training/data.py",
        "if per_token else mask / mask.sum()",
        "if not per_token else mask / mask.sum()",
    ),
    Fault(
        "samples that are left out are not counted",
        "common",
        f"{_P}/learner.py",
        'len(data["loss_masks"]))',
        'sum(bool(mask.any()) for mask in data["loss_masks"]))',
    ),
    Fault(
        "losses are clipped where there is a gain alone",
        "common",
        f"{_P}/training/grpo.py",
        "-torch.minimum(free, clipped)",
        "-torch.where(advantages > 0, torch.minimum(free, clipped), free)",
    ),
    Fault(
        "samples of groups that teach nothing are not counted",
        "huggingface/trl PR 6365",
        f"{_P}/learner.py",
        'len(data["loss_masks"]))',
        'sum(bool(row.any()) for row in data["advantages"]))',
    ),
    Fault(
        "a last, smaller micro-batch counts as a whole one",
        "modelscope/ms-swift PR 10084",
        f"{_P}/backends/fsdp.py",
        "(loss * dist.get_world_size()).backward()",
        "(loss * dist.get_world_size() * (self._config.micro_batch_size or len(batch.tokens))"
        " / len(batch.tokens)).backward()",
    ),
    Fault(
        "the loss is divided by the micro-batches",
        "NVIDIA-NeMo/RL issue 84",
        f"{_P}/backends/fsdp.py",
        "(loss * dist.get_world_size()).backward()",
        "(loss * dist.get_world_size() / len(batches(data, self._config))).backward()",
    ),
    Fault(
        "gradients are clipped after each micro-batch",
        "verl-project/verl PR 436",
        f"{_P}/backends/fsdp.py",
        '            for name, share in {"loss"',
        "            torch.nn.utils.clip_grad_norm_(self.model[0].parameters(), self._config.max_grad_norm)\n"
        '            for name, share in {"loss"',
    ),
    Fault(
        "what is clipped is counted over all places",
        "common",
        f"{_P}/training/objective.py",
        '(clipped * given["loss_weights"]).sum()',
        "clipped.mean()",
    ),
    Fault(
        "the mean over samples is one over replicas' means",
        "common",
        f"{_P}/training/objective.py",
        'return (losses * given["loss_weights"]).sum(), metrics',
        'return (losses * given["loss_weights"]).sum() / given["loss_weights"].sum()'
        " / torch.distributed.get_world_size(), metrics",
    ),
    Fault(
        "the ratio is its first order",
        "common",
        f"{_P}/training/grpo.py",
        "torch.exp(log_probs - old_log_probs)",
        "1 + log_probs - old_log_probs",
    ),
    Fault(
        "the ratio has no gradient",
        "common",
        f"{_P}/training/grpo.py",
        "torch.exp(log_probs - old_log_probs)",
        "torch.exp(log_probs - old_log_probs).detach()",
    ),
    Fault(
        "one bound for both sides",
        "common",
        f"{_P}/training/objective.py",
        "clip_high=self._config.clip_high",
        "clip_high=self._config.clip_low",
    ),
    Fault(
        "log-probabilities are made in bfloat16",
        "common",
        f"{_P}/training/grpo.py",
        "logits.float() / temperature",
        "logits.bfloat16() / temperature",
    ),
    Fault(
        "responses that were cut off do not learn",
        "common",
        f"{_P}/training/data.py",
        "if sample.remove_sample else mask",
        "if sample.remove_sample or sample.status is Sample.Status.TRUNCATED else mask",
    ),
    Fault(
        "masked tokens are counted as if they learned",
        "common",
        f"{_P}/learner.py",
        'sum(mask.sum() for mask in data["loss_masks"])',
        'sum(len(mask) for mask in data["loss_masks"])',
    ),
    Fault(
        "what stands at the places is kept in bfloat16",
        "common",
        f"{_P}/training/data.py",
        "spread = values[0].new_zeros(len(values), width)",
        "spread = values[0].bfloat16().new_zeros(len(values), width).float() + 0\n"
        "    values = [value.bfloat16().float() for value in values]",
    ),
    Fault(
        "what was left over of the last micro-batch is dropped",
        "common",
        f"{_P}/training/data.py",
        "for start in range(0, count, size)]",
        "for start in range(0, count - count % size, size)]",
    ),
    Fault(
        "the loss of a hook counts this micro-batch's samples",
        "common",
        f"{_P}/training/objective.py",
        'return loss / data["all_samples"], _share(metrics, data)',
        'return loss / len(data["tokens"]), _share(metrics, data)',
    ),
    Fault(
        "the reducer's sum counts this micro-batch's samples",
        "common",
        f"{_P}/training/objective.py",
        'return reduce(torch.cat(from_places(losses, data))) / data["all_samples"], metrics',
        'return reduce(torch.cat(from_places(losses, data))) / len(data["tokens"]), metrics',
    ),
    Fault(
        "clipping is on whatever the sign of the gain",
        "OpenRLHF/OpenRLHF PR 553",
        f"{_P}/training/grpo.py",
        "return -torch.minimum(free, clipped), (clipped < free).float()",
        "return -clipped, (clipped < free).float()",
    ),
    Fault(
        "Megatron divides by its micro-batches",
        "NVIDIA/Megatron-LM issue 673",
        f"{_M}/backend.py",
        "lambda model, _tokens, **groups: finalize_model_grads(\n            model, None, **groups\n        )",
        "lambda model, tokens, **groups: finalize_model_grads(\n            model, tokens, **groups\n        )",
    ),
    Fault(
        "the schedule takes the loss for a mean",
        "common",
        f"{_M}/build.py",
        '"calculate_per_token_loss": True',
        '"calculate_per_token_loss": False',
    ),
]
