"""Megatron's layers: what they compute, and by which weights."""

from __future__ import annotations

from benchmarks.mutants.by_hand.fault import Fault

_P = "posttrain"
_M = "posttrain/backends/megatron"

FAULTS = [
    Fault(
        "a norm's gradient is not summed over tensor-parallel ranks",
        "NVIDIA/Megatron-LM issue 1446",
        f"{_M}/layers.py",
        "        self.weight.sequence_parallel = config.sequence_parallel\n        self._eps",
        "        self.weight.sequence_parallel = False\n        self._eps",
    ),
    Fault(
        "experts' gradients are summed as the rest",
        "NVIDIA/Megatron-LM PR 5916",
        f"{_M}/build.py",
        "parameter.allreduce = False",
        "parameter.allreduce = True",
    ),
    Fault(
        "queries, key and value are not grouped",
        "common",
        f"{_M}/convert.py",
        "torch.cat([tensor.unflatten(0, (groups, -1)) for tensor in tensors], dim=1).flatten(0, 1)",
        "torch.cat(tensors)",
    ),
    Fault(
        "the token after next is guessed as the next one",
        "NVIDIA/Megatron-LM issue 1532",
        f"{_M}/mtp.py",
        "targets, weights = self._next(input_ids), self._next(self._mtp_weights)",
        "targets, weights = input_ids, self._mtp_weights",
    ),
    Fault(
        "the MTP loss is not scaled",
        "NVIDIA/Megatron-LM issue 1532",
        f"{_M}/mtp.py",
        "self.config.mtp_loss_scaling_factor * loss",
        "loss",
    ),
    Fault(
        "the MTP projection takes its halves the other way round",
        "common",
        f"{_M}/convert.py",
        "torch.cat(tensors[0].chunk(2, dim=1)[::-1], dim=1)",
        "tensors[0]",
    ),
    Fault(
        "the MTP loss reaches the trunk",
        "common",
        f"{_M}/mtp.py",
        "hidden_states=hidden_states.detach()",
        "hidden_states=hidden_states",
    ),
    Fault(
        "the MTP loss reaches the embedding",
        "common",
        f"{_M}/mtp.py",
        "self.embedding(**inputs).detach()",
        "self.embedding(**inputs)",
    ),
    Fault(
        "what routed experts say is not scaled",
        "common",
        f"{_M}/config.py",
        '"moe_router_topk_scaling_factor": text.routed_scaling_factor',
        '"moe_router_topk_scaling_factor": 1.0',
    ),
    Fault(
        "experts are weighed before they are chosen",
        "common",
        f"{_M}/config.py",
        '"moe_router_pre_softmax": not text.norm_topk_prob',
        '"moe_router_pre_softmax": True',
    ),
    Fault(
        "norms have the usual epsilon",
        "common",
        f"{_M}/config.py",
        "text.rms_norm_eps",
        "1e-3",
    ),
    Fault(
        "rotary embeddings have the usual base",
        "common",
        f"{_M}/build.py",
        'rotary_base=rope["rope_theta"]',
        "rotary_base=500",
    ),
    Fault(
        "choices of experts are not renormalised",
        "common",
        f"{_M}/config.py",
        '"moe_router_pre_softmax": not text.norm_topk_prob',
        '"moe_router_pre_softmax": text.norm_topk_prob',
    ),
    Fault(
        "the dense first layer has experts",
        "common",
        f"{_M}/config.py",
        "int(layer >= text.first_k_dense_replace)",
        "int(layer >= 0)",
    ),
    Fault(
        "MTP layers see hidden states of the token after",
        "common",
        f"{_P}/mimo.py",
        "torch.cat([self.hidden_layernorm(hidden), self.token_layernorm(embeddings)], dim=-1)",
        "torch.cat([self.token_layernorm(embeddings), self.hidden_layernorm(hidden)], dim=-1)",
    ),
    Fault(
        "a balance loss is on",
        "NVIDIA/Megatron-LM issue 3672",
        f"{_M}/build.py",
        '"moe_router_load_balancing_type": "none",',
        '"moe_router_load_balancing_type": "aux_loss",\n            "moe_aux_loss_coeff": 1e-2,',
    ),
    Fault(
        "the router's logits are held small",
        "NVIDIA/Megatron-LM PR 5047",
        f"{_M}/build.py",
        '"moe_router_load_balancing_type": "none",',
        '"moe_router_load_balancing_type": "none",\n            "moe_z_loss_coeff": 1e-3,',
    ),
    Fault(
        "experts drop what is too much",
        "common",
        f"{_M}/build.py",
        '"moe_router_load_balancing_type": "none",',
        '"moe_router_load_balancing_type": "none",\n            "moe_expert_capacity_factor": 0.5,',
    ),
    Fault(
        "all of a head turns",
        "common",
        f"{_M}/build.py",
        'rope.get("partial_rotary_factor", 1.0)',
        "1.0",
    ),
    Fault(
        "halves turn where pairs should",
        "common",
        f"{_M}/config.py",
        '"rotary_interleaved": True',
        '"rotary_interleaved": False',
    ),
    Fault(
        "norms of queries and keys are swapped",
        "common",
        f"{_M}/convert.py",
        'yield same(f"{theirs}q_norm.weight", f"{ours}q_layernorm.weight")\n'
        '            yield same(f"{theirs}k_norm.weight", f"{ours}k_layernorm.weight")',
        'yield same(f"{theirs}q_norm.weight", f"{ours}k_layernorm.weight")\n'
        '            yield same(f"{theirs}k_norm.weight", f"{ours}q_layernorm.weight")',
    ),
    Fault(
        "gate and up are swapped",
        "common",
        f"{_M}/convert.py",
        'joined([f"{theirs}gate_proj.weight", f"{theirs}up_proj.weight"]',
        'joined([f"{theirs}up_proj.weight", f"{theirs}gate_proj.weight"]',
    ),
    Fault(
        "a sandwich norm comes after the sum",
        "common",
        f"{_M}/layers.py",
        "residual + self.norm(output[0])",
        "self.norm(residual + output[0])",
    ),
    Fault(
        "experts are chosen by a softmax",
        "common",
        f"{_M}/config.py",
        '"moe_router_score_function": "sigmoid"',
        '"moe_router_score_function": "softmax"',
    ),
    Fault(
        "losses of several guesses are added",
        "common",
        f"{_M}/mtp.py",
        "torch.stack(losses).mean()",
        "torch.stack(losses).sum()",
    ),
    Fault(
        "every MTP layer guesses the same token",
        "common",
        f"{_M}/mtp.py",
        "            targets, weights = self._next(targets), self._next(weights)\n",
        (
            "            targets, weights = self._next(self._next(input_ids)), "
            "self._next(self._next(self._mtp_weights))\n"
        ),
    ),
    Fault(
        "the output layer is shared although it is not tied",
        "common",
        f"{_M}/build.py",
        "share_embeddings_and_output_weights=hf_config.tie_word_embeddings and not critic",
        "share_embeddings_and_output_weights=not critic",
    ),
    Fault(
        "norms are computed in bfloat16",
        "common",
        f"{_M}/layers.py",
        "wide = hidden.float()",
        "wide = hidden",
    ),
    Fault(
        "attention's softmax is asked for in bfloat16",
        "common",
        f"{_M}/attention.py",
        "torch.softmax(scores, dim=-1, dtype=torch.float32)",
        "torch.softmax(scores, dim=-1)",
    ),
]
