"""Megatron's ranks: who holds what, and whom they tell of it."""

from __future__ import annotations

from benchmarks.mutants.by_hand.fault import Fault

_P = "posttrain"
_M = "posttrain/backends/megatron"

FAULTS = [
    Fault(
        "the loss is scaled by the context-parallel ranks",
        "NVIDIA/Megatron-LM issue 673",
        f"{_M}/backend.py",
        "return loss, torch.ones((), dtype=torch.int, device=loss.device), shares",
        "return loss * self._config.context_parallel, torch.ones((), dtype=torch.int, device=loss.device), shares",
    ),
    Fault(
        "FSDP's average is not undone",
        "pytorch/torchtitan PR 2206",
        f"{_P}/backends/fsdp.py",
        "(loss * dist.get_world_size()).backward()",
        "loss.backward()",
    ),
    Fault(
        "chunks of a sequence are dealt in a row",
        "NVIDIA/Megatron-LM issue 7452",
        f"{_M}/attention.py",
        "torch.cat([chunks[rank], chunks[2 * size - 1 - rank]])",
        "torch.cat([chunks[2 * rank], chunks[2 * rank + 1]])",
    ),
    Fault(
        "gate and up are cut across",
        "NVIDIA/Megatron-LM issue 7452",
        f"{_M}/weights.py",
        "return full.unflatten(0, (2, -1)).chunk(size, dim=1)[rank].flatten(0, 1)",
        "return full.chunk(size, dim=0)[rank]",
    ),
    Fault(
        "MTP weights stand a token early",
        "NVIDIA/Megatron-LM issue 1532",
        f"{_M}/backend.py",
        '(batch.on_tokens["loss_weights"][:, :-1], (1, 0))',
        '(batch.on_tokens["loss_weights"], (0, 0))',
    ),
    Fault(
        "replayed choices are a place off",
        "vllm-project/vime PR 133",
        f"{_M}/replay.py",
        "[:, :, batch.positions[0]]",
        "[:, :, batch.positions[0].roll(1)]",
    ),
    Fault(
        "the output layer learns from guesses",
        "verl-project/verl PR 6432",
        f"{_P}/backends/megatron/mtp.py",
        "weight=weight.detach()",
        "weight=weight",
    ),
    Fault(
        "guesses of prompts and padding count",
        "NVIDIA-NeMo/Megatron-Bridge issue 6103",
        f"{_P}/backends/megatron/mtp.py",
        "self._next(input_ids), self._next(self._mtp_weights)",
        "self._next(input_ids), self._next(torch.full_like(self._mtp_weights, self._mtp_weights.max().item()))",
    ),
    Fault(
        "guessed tokens are looked up on this context-parallel rank alone",
        "modelscope/mcore-bridge PR 104",
        f"{_P}/backends/megatron/mtp.py",
        "cp_group=self.cp_group",
        "cp_group=None",
    ),
    Fault(
        "the weights of guesses are moved after the cut",
        "radixark/miles PR 3219",
        f"{_P}/backends/megatron/backend.py",
        "return batch.at(zigzag_positions(batch.tokens.shape[1], rank, size, batch.tokens.device))",
        "own = batch.at(zigzag_positions(batch.tokens.shape[1], rank, size, batch.tokens.device))\n"
        '        if "mtp_weights" in own.on_tokens:\n'
        '            moved = torch.nn.functional.pad(own.on_tokens["loss_weights"][:, :-1], (1, 0))\n'
        '            own = replace(own, on_tokens={**own.on_tokens, "mtp_weights": moved})\n'
        "        return own",
    ),
    Fault(
        "a last stage has an embedding of its own",
        "NVIDIA/Megatron-LM issue 844",
        f"{_P}/backends/megatron/build.py",
        "hf_config.tie_word_embeddings and not critic",
        "hf_config.tie_word_embeddings and not critic and config.pipeline_model_parallel_size == 1",
    ),
    Fault(
        "queries find the key of another group",
        "common",
        f"{_P}/backends/megatron/attention.py",
        "key.repeat_interleave(repeats, dim=1), value.repeat_interleave(repeats, dim=1)",
        "key.repeat(1, repeats, 1, 1), value.repeat(1, repeats, 1, 1)",
    ),
    Fault(
        "the router's bias moves",
        "PrimeIntellect-ai/prime-rl PR 2953",
        f"{_P}/backends/megatron/config.py",
        '"moe_router_bias_update_rate": 0.0',
        '"moe_router_bias_update_rate": 1e-3',
    ),
    Fault(
        "a shared expert is not there",
        "common",
        f"{_P}/backends/megatron/config.py",
        "text.moe_intermediate_size * text.n_shared_experts",
        "text.moe_intermediate_size * text.n_shared_experts * 0",
    ),
    Fault(
        "each rank counts as a replica",
        "common",
        f"{_P}/backends/base.py",
        "replicas = dict(gather((self.index, own)))\n"
        "        return [replicas[index] for index in sorted(replicas)]",
        "return [value for _, value in gather((self.index, own))]",
    ),
    Fault(
        "the first rank's word goes to every replica",
        "common",
        f"{_P}/distributed.py",
        "dist.broadcast_object_list(values, src=leader, group=group)",
        "dist.broadcast_object_list(values, src=leader, group=group)\n"
        "    dist.broadcast_object_list(values, src=0)",
    ),
    Fault(
        "tensor-parallel ranks count a loss each",
        "common",
        f"{_M}/backend.py",
        "shares if self._last_stage and alone else []",
        "shares if self._last_stage else []",
    ),
    Fault(
        "replayed choices are those of the last micro-batch",
        "common",
        f"{_M}/replay.py",
        "            router.router_replay.set_target_indices(chosen[number])\n",
        "            router.router_replay.set_target_indices(self._asked.get(number, chosen[number]))\n",
    ),
    Fault(
        "the router's bias is not loaded",
        "NVIDIA-NeMo/Megatron-Bridge issue 4199",
        f"{_M}/weights.py",
        "        if source in whole:\n            tensor.copy_",
        "        if source in whole and isinstance(tensor, torch.nn.Parameter):\n            tensor.copy_",
    ),
    Fault(
        "the router's bias is not handed over",
        "PrimeIntellect-ai/prime-rl PR 2681",
        f"{_M}/weights.py",
        "        result[name] = tensor\n",
        '        result[name] = torch.zeros_like(tensor) if name.endswith("expert_bias") else tensor\n',
    ),
    Fault(
        "replay is for training alone",
        "ISEEKYAN/Megatron-LM PR 79",
        f"{_M}/backend.py",
        "            if self._replay:\n                self._replay.prepare(batch)",
        "            if self._replay and not forward_only:\n                self._replay.prepare(batch)",
    ),
    Fault(
        "one layer's choices are replayed in all",
        "common",
        f"{_M}/replay.py",
        "router.router_replay.set_target_indices(chosen[number])\n            self._asked[number] = chosen[number]",
        "router.router_replay.set_target_indices(chosen[0])\n            self._asked[number] = chosen[0]",
    ),
    Fault(
        "ranks tell each other in another order",
        "common",
        f"{_P}/distributed.py",
        "    return values  # type: ignore[return-value]",
        "    return values[::-1]  # type: ignore[return-value]",
    ),
    Fault(
        "the latent projection's gradient is not summed over tensor-parallel ranks",
        "common",
        f"{_M}/layers.py",
        (
            "torch.empty(outputs, inputs, dtype=config.params_dtype))\n"
            "        self.weight.sequence_parallel = config.sequence_parallel"
        ),
        "torch.empty(outputs, inputs, dtype=config.params_dtype))\n        self.weight.sequence_parallel = False",
    ),
    Fault(
        "a critic's gradient is summed once a tensor-parallel rank",
        "common",
        f"{_M}/layers.py",
        "tensor_parallel_output_grad=False",
        "tensor_parallel_output_grad=True",
    ),
    Fault(
        "context-parallel ranks count as replicas",
        "common",
        f"{_M}/layout.py",
        "replica = parallel_state.get_data_parallel_rank()",
        "replica = parallel_state.get_data_parallel_rank(with_context_parallel=True)",
    ),
    Fault(
        "scores are those of the first stage",
        "common",
        f"{_M}/backend.py",
        "dist.get_process_group_ranks(group)[-1]",
        "dist.get_process_group_ranks(group)[0]",
    ),
    Fault(
        "each rank of a replica trains on a rollout of its own",
        "common",
        f"{_P}/rollout/sampler.py",
        "self._leads = replica.leader == dist.get_rank()",
        "self._leads = True",
    ),
    Fault(
        "tensor-parallel ranks begin with other value heads",
        "common",
        f"{_M}/layers.py",
        "torch.Generator().manual_seed(0)",
        "torch.Generator().manual_seed(torch.distributed.get_rank())",
    ),
]
