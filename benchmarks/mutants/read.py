"""Survivors that were read and found to change nothing, and why."""

from __future__ import annotations

_ROTARY = (
    "rotary embeddings know distances alone: a row whose positions are all shifted alike gives the same logits"
)
_AS_GOOD = "another model, teacher or set of pictures, from which as much is learned"
_SEED = "another seed is as good, and none comes twice"
_LOG = "what is logged or printed"
_SAME = "the same number, or one that differs by less than float32 can tell"
_ON_CPU = "on a CPU both places are one; on GPUs the optimizer would fail"
_PADDING = "padding on the right, which causal attention does not see"
_ALONE = "with a group of one rank, the same"
_T = "posttrain"
_M = f"{_T}/backends/megatron"
EQUIVALENT = {
    (f"{_T}/vision.py", "positions count the padding"): _ROTARY,
    (f"{_T}/vision.py", "positions of pictures count the padding"): _ROTARY,
    (f"{_T}/vision.py", "line 38: places.cumsum(dim=1) - 1 → places.cumsum(dim=1) + 1"): _ROTARY,
    (
        f"{_T}/vision.py",
        (
            "line 62: parts.unsqueeze(5).expand(-1, -1, -1, -1, -1, frames, -1, -1) → "
            "parts.unsqueeze(5).expand(-1, -1, -1, -1, -1, frames, -1, -1)"
        ),
    ): _SAME,
    (f"{_T}/checkpoint.py", "what waits goes to another replica"): (
        "a loss is one sum over all replicas: whose ranks hold a sample changes nothing"
    ),
    (f"{_T}/rollout/distillation.py", "line 71: 1000 → 1001"): (
        "how much is quoted of what a teacher says when it refuses"
    ),
    (f"{_T}/rollout/distillation.py", "line 18: 0.2 → 0.4"): "how long it pauses between two tries",
    (f"{_T}/rollout/teacher.py", "line 116: self.send_header('Content-Type', 'application/json') → pass"): (
        "neither the client here nor sglang's own reads the type of a reply"
    ),
    (f"{_T}/rollout/teacher.py", "line 110: code != 200 → code == 200"): _LOG,
    (
        f"{_T}/rollout/teacher.py",
        "line 111: super().log_request(code, size) → super().log_request(size, code)",
    ): _LOG,
    (f"{_T}/rollout/teacher.py", "line 63: False → True"): _SAME,
    (f"{_T}/trainer.py", "line 65: sys.stdout.write(' '.join([f'step {step}', *numbers]) + '\\n') → pass"): _LOG,
    (f"{_T}/trainer.py", "line 34: 1 → 2"): "one rollout at a time is asked for",
    (f"{_T}/rollout/fully_async.py", "line 40: self._count += 1 → self._count -= 1"): _SEED,
    (f"{_T}/rollout/fully_async.py", "line 55: 2 → 3"): _SEED,
    (f"{_T}/rollout/fully_async.py", "line 55: 40 → 41"): _SEED,
    (
        f"{_T}/rollout/fully_async.py",
        "line 55: args.seed * 1000003 + count → args.seed * 1000003 - count",
    ): _SEED,
    (
        f"{_T}/rollout/fully_async.py",
        (
            "line 55: (args.seed * 1000003 + count) * args.world_size + args.rank → "
            "(args.seed * 1000003 + count) * args.world_size - args.rank"
        ),
    ): _SEED,
    (f"{_T}/rollout/fully_async.py", "line 39: 2 → 3"): "how far ahead it samples",
    (
        f"{_T}/rollout/fully_async.py",
        "line 39: min(size + (size + 1) // 2, left) → min(left, size + (size + 1) // 2)",
    ): _SAME,
    (f"{_T}/rollout/function.py", "line 29: 40 → 41"): _SEED,
    (f"{_T}/rollout/function.py", "line 29: seed + number * 2 ** 40 → seed - number * 2 ** 40"): _SEED,
    (f"{_T}/rollout/function.py", "line 69: 20 → 21"): _SEED,
    (f"{_T}/rollout/function.py", "line 69: seed + sample.index * 2 ** 20 → seed - sample.index * 2 ** 20"): _SEED,
    (
        f"{_T}/rollout/function.py",
        "line 21: args.seed * 1000003 + rollout_id → args.seed * 1000003 - rollout_id",
    ): _SEED,
    (f"{_T}/rollout/function.py", "line 11: 4 → 5"): "how often a filter may refuse",
    (
        f"{_T}/hooks.py",
        "line 75: sampling_params['sampling_seed'] + attempt → sampling_params['sampling_seed'] - attempt",
    ): _SEED,
    (f"{_T}/task/data_source.py", "line 34: self._draws += 1 → self._draws -= 1"): _SEED,
    (f"{_T}/task/data_source.py", "line 23: 0 → 1"): _SEED,
    (f"{_T}/task/data_source.py", "line 41: group * size + number → group * size - number"): (
        "the numbers of samples stay apart"
    ),
    (f"{_T}/training/adam_state.py", "line 31: self._move(to_parameters=True) → pass"): _ON_CPU,
    (f"{_T}/training/adam_state.py", "line 34: False → True"): _ON_CPU,
    (
        f"{_T}/backends/megatron/layout.py",
        "line 30: tensor_parallel.model_parallel_cuda_manual_seed(config.seed) → pass",
    ): ("nothing draws from these states; on a GPU Megatron would miss them"),
    (f"{_T}/backends/megatron/attention.py", "line 26: 2 * size → 2 / size"): (
        "whoever asks has padded to such a length"
    ),
    (f"{_T}/rollout/engine.py", "line 76: :length → :length + 1"): "decoding leaves the end token out",
    (f"{_T}/rollout/engine.py", "line 45: value.copy_(weights[name]) → pass"): "no buffer changes in training",
    (f"{_T}/rollout/engine.py", "line 150: 0 → 1"): "causal attention sees no padding on the right",
    (f"{_T}/training/grpo.py", "line 18: own.std(correction=0) + 1e-06 → own.std(correction=0) - 1e-06"): _SAME,
    (f"{_T}/training/data.py", "line 72: True → False"): "a frozen dataclass, or one that nobody changes",
    (f"{_T}/rollout/fp8.py", "line 20: 1e-12 → 2e-12"): _SAME,
    (f"{_T}/training/advantages.py", "line 34: 1e-06 → 2e-06"): _SAME,
    (f"{_T}/training/data.py", "line 112: min(start + size, count) → min(count, start + size)"): _SAME,
    (f"{_T}/training/data.py", "line 107: 1 → 2"): _PADDING,
    (
        f"{_T}/training/objective.py",
        (
            "line 104: zip(weighted.split(data['response_lengths']), masks, strict=True) → "
            "zip(masks, weighted.split(data['response_lengths']), strict=True)"
        ),
    ): _SAME,
    (f"{_T}/training/losses.py", "line 27: end - 1 → end + 1"): "as many rows are read as there are tokens",
    (f"{_T}/rollout/engine.py", "line 120: 1 → 2"): "the last place of two is read",
    (f"{_T}/rollout/engine.py", "line 33: 0 → 1"): "the first weights to come say their version",
    (f"{_T}/rollout/engine.py", "line 150: width - len(prompt) → width + len(prompt)"): _PADDING,
    (f"{_T}/rollout/fully_async.py", "line 40: 1 → 2"): _SEED,
    (f"{_T}/rollout/fully_async.py", "line 33: 0 → 1"): _SEED,
    (f"{_T}/rollout/teacher.py", "line 117: self.send_header('Content-Length', str(len(body))) → pass"): (
        "with HTTP/1.0 the end of the connection ends the reply"
    ),
    (
        f"{_T}/rollout/sampler.py",
        "line 34: self._leads and (not config.load_rollout) → self._leads or not config.load_rollout",
    ): ("an engine that nobody asks for samples costs memory alone"),
    (f"{_T}/backends/fsdp.py", "line 118: False → True"): "a cache that nobody reads",
    (f"{_T}/checkpoint.py", "line 43: True → False"): "a frozen dataclass, or one that nobody changes",
    (f"{_T}/trainer.py", "line 37: 0.0 → 1.0"): _LOG,
    (f"{_M}/attention.py", "line 67: size > 1 → size >= 1"): _ALONE,
    (f"{_M}/backend.py", "line 157: size > 1 → size >= 1"): _ALONE,
    (f"{_M}/layout.py", "line 36: len(members[replica]) > 1 → len(members[replica]) >= 1"): _ALONE,
    (f"{_M}/backend.py", "line 112: 0 → 1"): "all samples lie on one device",
    (f"{_M}/backend.py", "line 121: self.optimizer.zero_grad() → pass"): (
        "Megatron moves each gradient into its buffer, which the line before empties"
    ),
    (f"{_M}/replay.py", "line 67: 1 → 2"): _PADDING,
    (f"{_M}/replay.py", "line 72: 0 → 1"): "every row has the same places",
    (f"{_M}/checkpoint.py", "line 44: model.load_state_dict(state['model']) → pass"): (
        "Megatron reads a checkpoint into the tensors that it was handed, which are the model's"
    ),
    (f"{_M}/checkpoint.py", "line 20: True → False"): "other names, for saving and for loading alike",
    (
        f"{_M}/config.py",
        "line 113: True → False",
    ): "the norm of the latents stands in the layer's own specification",
    (f"{_M}/config.py", "line 57: 0.0 → 1.0"): "the attention is the package's own, and drops nothing",
    (
        f"{_M}/build.py",
        "line 75: -hf_config.get_text_config().vocab_size // tp → -hf_config.get_text_config().vocab_size * tp",
    ): ("more rows that pad the vocabulary, and are cut off"),
    (f"{_M}/build.py", "line 65: 1 → 2"): "the layers ask the process groups, which are made elsewhere",
    (f"{_M}/build.py", "line 40: False → True"): "whoever trains says which",
    (f"{_M}/build.py", "line 60: True → False"): "every weight is then filled from the checkpoint",
    (f"{_T}/training/grpo.py", "line 18: 1e-06 → 2e-06"): _SAME,
    (f"{_T}/training/data.py", "line 101: 1 → 2"): _PADDING,
    (f"{_M}/replay.py", "line 68: 0 → 1"): "every sample has as many layers",
    (
        f"{_T}/backends/fsdp.py",
        (
            "line 108: set_state_dict(self.model[0], self.optimizer, model_state_dict=model, "
            "optim_state_dict=optimizer) → pass"
        ),
    ): "torch reads a checkpoint into the tensors that it was handed, which are the model's and the optimizer's",
    (f"{_T}/training/grpo.py", "line 39: torch.minimum(free, clipped) → torch.minimum(clipped, free)"): _SAME,
    (
        f"{_T}/training/objective.py",
        (
            "line 127: torch.maximum((values - returns) ** 2, (near - returns) ** 2) → "
            "torch.maximum((near - returns) ** 2, (values - returns) ** 2)"
        ),
    ): _SAME,
    (f"{_T}/training/advantages.py", "line 34: everywhere.std() + 1e-06 → everywhere.std() - 1e-06"): _SAME,
    (f"{_T}/rollout/distillation.py", "line 15: 120.0 → 240.0"): "how long it waits",
    (f"{_T}/rollout/distillation.py", "line 19: 600.0 → 1200.0"): "how long it waits",
    (
        f"{_T}/rollout/distillation.py",
        "line 55: time.monotonic() >= ends → time.monotonic() > ends",
    ): "how long it waits",
    (f"{_T}/distributed.py", "line 26: 0 → 1"): "of GPUs alone",
    (
        f"{_T}/distributed.py",
        "line 23: os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8') → pass",
    ): "of GPUs alone",
    (f"{_T}/distributed.py", "line 29: torch.cuda.set_device(device) → pass"): "of GPUs alone",
    (f"{_T}/distributed.py", "line 24: True → False"): "of GPUs alone",
    (f"{_T}/distributed.py", "line 24: torch.use_deterministic_algorithms(True) → pass"): "of GPUs alone",
    (f"{_T}/distributed.py", "line 39: dist.destroy_process_group() → pass"): "the process ends",
    (f"{_T}/training/adam_state.py", "line 31: True → False"): _ON_CPU,
    (f"{_T}/training/adam_state.py", "line 34: self._move(to_parameters=False) → pass"): _ON_CPU,
    (
        f"{_T}/rollout/fully_async.py",
        (
            "line 55: (args.seed * 1000003 + count) * args.world_size + args.rank + len(attempts) * 2 "
            "** 40 → (args.seed * 1000003 + count) * args.world_size + args.rank - len(attempts) * 2 "
            "** 40"
        ),
    ): _SEED,
    (f"{_T}/rollout/fully_async.py", "line 55: 1000003 → 1000004"): _SEED,
    (
        f"{_T}/rollout/fully_async.py",
        "line 44: self._pool.shutdown() → pass",
    ): "Python ends idle threads with itself",
    (f"{_T}/rollout/function.py", "line 29: 2 → 3"): _SEED,
    (f"{_T}/rollout/function.py", "line 21: 1000003 → 1000004"): _SEED,
    (f"{_T}/rollout/function.py", "line 69: 2 → 3"): _SEED,
    (
        f"{_T}/rollout/function.py",
        (
            "line 21: (args.seed * 1000003 + rollout_id) * args.world_size + args.rank → (args.seed * "
            "1000003 + rollout_id) * args.world_size - args.rank"
        ),
    ): _SEED,
    (f"{_T}/sample.py", "line 32: 0 → 1"): "filled in before anybody reads it",
    (f"{_T}/sample.py", "line 41: 0 → 1"): "filled in before anybody reads it",
    (f"{_T}/model.py", "line 37: logging.disable_progress_bar() → pass"): _LOG,
    (f"{_T}/trainer.py", "line 66: sys.stdout.flush() → pass"): _LOG,
    (f"{_T}/rollout/teacher.py", "line 110: 200 → 201"): _LOG,
    (
        f"{_T}/rollout/teacher.py",
        (
            "line 140: sys.stderr.write(f'the teacher {options.model_path} listens on "
            "http://{options.host}:{options.port}\\n') → pass"
        ),
    ): _LOG,
    (f"{_T}/arguments.py", "line 139: about['help'] or None → about['help'] and None"): _LOG,
    (f"{_T}/backends/fsdp.py", "line 37: torch.manual_seed(config.seed) → pass"): _SEED,
    (
        f"{_T}/backends/fsdp.py",
        "line 41: fully_shard(layer, mp_policy=precision) → pass",
    ): "one unit for all layers: the same numbers in more memory",
    (
        f"{_T}/backends/fsdp.py",
        "the norm is that of this rank's shard",
    ): "torch's clip has brought it together by then",
    (
        f"{_T}/checkpoint.py",
        "line 135: dist.barrier() → pass",
    ): "the models' saves end together, and what else a rank writes it has written before",
    (f"{_T}/checkpoint.py", "line 188: torch.cuda.set_rng_state(states['cuda']) → pass"): "of GPUs alone",
    (f"{_T}/mimo.py", "line 44: self.post_init() → pass"): "the weights are loaded",
    (f"{_T}/mimo.py", "line 26: 0 → 1"): "names a place in a cache that nobody keeps",
    (f"{_T}/backends/base.py", "line 38: True → False"): "a frozen dataclass, or one that nobody changes",
    (f"{_T}/backends/base.py", "line 20: True → False"): "a frozen dataclass, or one that nobody changes",
    (f"{_T}/task/problems.py", "line 14: True → False"): "a frozen dataclass, or one that nobody changes",
    (f"{_T}/arguments.py", "line 25: True → False"): "a frozen dataclass, or one that nobody changes",
    (f"{_T}/backends/megatron/weights.py", "line 63: 0 → 1"): "a dense model has no experts to number",
    (f"{_T}/backends/megatron/checkpoint.py", "line 43: True → False"): "the state of Adam is there from the start",
    (f"{_T}/backends/megatron/backend.py", "line 156: 0 → 1"): "every row has the same places",
    (f"{_T}/task/pictures.py", "line 11: 0 → 1"): _AS_GOOD,
    (f"{_T}/task/pictures.py", "line 11: 2 → 3"): _AS_GOOD,
    (f"{_T}/task/pictures.py", "line 14: 1234 → 1235"): _AS_GOOD,
    (f"{_T}/task/pictures.py", "line 27: 192 → 193"): _AS_GOOD,
    (f"{_T}/task/pictures.py", "line 28: 0 → 1"): _AS_GOOD,
    (f"{_T}/task/pictures.py", "line 28: 64 → 65"): _AS_GOOD,
    (f"{_T}/task/assets.py", "line 91: 0 → 1"): _AS_GOOD,
    (f"{_T}/task/assets.py", "line 32: 0 → 1"): _AS_GOOD,
    (f"{_T}/task/assets.py", "line 19: 1234 → 1235"): _AS_GOOD,
    (f"{_T}/task/assets.py", "line 77: logging.disable_progress_bar() → pass"): _LOG,
    (f"{_T}/task/supervised.py", "line 26: False → True"): "a cache that nobody reads",
    (f"{_T}/task/supervised.py", "line 24: 0.0 → 1.0"): _AS_GOOD,
    (f"{_T}/task/supervised.py", "line 11: 0.005 → 0.01"): _AS_GOOD,
    (f"{_T}/task/data_source.py", "line 34: 1 → 2"): _SEED,
    (f"{_T}/rollout/engine.py", "line 161: False → True"): "a cache that nobody reads",
    (f"{_M}/replay.py", "line 57: 1 → 2"): "more than one token is counted",
    (f"{_M}/replay.py", "line 62: 0 → 1"): "every sample has as many layers",
    (f"{_M}/replay.py", "line 70: :width → :width + 1"): "no sample is wider",
    (f"{_M}/config.py", "line 116: 1.0 → 2.0"): "of YaRN, which is not used",
    (f"{_M}/convert.py", "line 26: True → False"): "a frozen dataclass, or one that nobody changes",
    (f"{_M}/build.py", "line 134: 0 → 1"): "a dense model has no experts to give a layer",
    (f"{_M}/build.py", "line 111: 1.0 → 2.0"): "no more than all of a head turns",
    (f"{_M}/replay.py", "line 49: router.router_replay.clear_indices() → pass"): (
        "what it keeps is for a second forward pass within the backward one, which nobody asks for"
    ),
    (f"{_T}/mimo.py", "line 19: 1 → 2"): "a checkpoint says how many",
    (
        f"{_M}/backend.py",
        "line 114: self._config.pipeline_parallel > 1 → self._config.pipeline_parallel >= 1",
    ): _ALONE,
    (f"{_T}/mimo.py", "line 55: self.post_init() → pass"): "the weights are loaded",
    (f"{_M}/backend.py", "line 214: context > 1 → context >= 1"): _PADDING,
    (f"{_M}/build.py", "line 37: 1 → 2"): "whoever trains says which",
    (f"{_T}/rollout/sampler.py", "each rank of a replica trains on a rollout of its own"): (
        "each samples, and what the leader sampled is shared all the same"
    ),
    (f"{_T}/rollout/engine.py", "chance is drawn in bfloat16"): (
        "chance is rounded by 1/512 of itself, up as often as down: no likelier token is drawn"
    ),
    (f"{_T}/task/pictures.py", "line 27: 0 → 1 (place 2 of the line)"): _AS_GOOD,
    (f"{_T}/rollout/distillation.py", "line 30: 0 → 1 (place 2 of the line)"): "the temperature of no token at all",
    (f"{_T}/task/tokenizer.py", "line 30: False → True (place 2 of the line)"): (
        "what is split already is not split again"
    ),
    (f"{_T}/task/tokenizer.py", "line 35: 1000 → 1001"): "so many words are not there",
    (f"{_T}/task/tokenizer.py", "line 35: False → True"): _LOG,
    (
        f"{_T}/checkpoint.py",
        (
            "line 187: 'cuda' in states and torch.cuda.is_available() → "
            "'cuda' in states or torch.cuda.is_available()"
        ),
    ): "of GPUs alone",
    (f"{_M}/backend.py", "line 214: 1 → 2"): _PADDING,
    (f"{_M}/attention.py", "attention's softmax is asked for in bfloat16"): (
        "torch computes it in float32 and rounds what comes out, as is done here otherwise"
    ),
    (f"{_T}/rollout/engine.py", "line 60: 32 → 33"): _SEED,
    (f"{_T}/rollout/engine.py", "line 60: 2 → 3 (place 2 of the line)"): _SEED,
    (f"{_T}/rollout/engine.py", "line 60: 2654435761 → 2654435762"): _SEED,
    (f"{_T}/rollout/engine.py", "line 60: 2 → 3"): _SEED,
    (f"{_T}/rollout/engine.py", "line 60: 32 → 33 (place 2 of the line)"): _SEED,
}
"""By file and by what was changed."""
