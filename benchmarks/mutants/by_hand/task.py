"""Rewards and hooks."""

from __future__ import annotations

from benchmarks.mutants.by_hand.fault import Fault

_P = "posttrain"

FAULTS = [
    Fault(
        "the first number is the answer",
        "common",
        f"{_P}/task/reward.py",
        "found[-1]",
        "found[0]",
    ),
    Fault(
        "any number is right",
        "common",
        f"{_P}/task/reward.py",
        "RIGHT if given == final_answer(answer) else WELL_FORMED",
        "RIGHT",
    ),
    Fault(
        "the dynamic filter's answer is turned round",
        "THUDM/slime PR 2218",
        f"{_P}/rollout/function.py",
        "(kept if is_kept(args, group) else dropped)",
        "(dropped if is_kept(args, group) else kept)",
    ),
    Fault(
        "what is too much is thrown away",
        "THUDM/slime PR 1474",
        f"{_P}/rollout/function.py",
        "data_source.add_samples(kept[size:])",
        "pass",
    ),
    Fault(
        "rewards go to the wrong samples",
        "common",
        f"{_P}/rollout/function.py",
        "zip(group, rewards, strict=True)",
        "zip(group, rewards[::-1], strict=True)",
    ),
    Fault(
        "the postprocess hook is called and its data dropped",
        "common",
        f"{_P}/learner.py",
        "postprocess(self._args, step, data)",
        "postprocess(self._args, step, dict(data))",
    ),
    Fault(
        "patches are laid out in rows",
        "common",
        f"{_P}/vision.py",
        "permute(1, 4, 2, 5, 0, 3, 6)",
        "permute(1, 2, 4, 5, 0, 3, 6)",
    ),
    Fault(
        "the dynamic filter's answer is dropped",
        "common",
        f"{_P}/rollout/function.py",
        'return bool(getattr(answer, "keep", answer))',
        "return answer is not None",
    ),
    Fault(
        "the answer of the reward post-process is dropped",
        "common",
        f"{_P}/learner.py",
        "return post_process(self._args, samples)[1]",
        "post_process(self._args, samples)",
    ),
    Fault(
        "the buffer filter's answer is dropped",
        "common",
        f"{_P}/task/data_source.py",
        "num_samples) if self._buffer else []",
        "num_samples)[:0] if self._buffer else []",
    ),
    Fault(
        "the converter's answer is dropped",
        "common",
        f"{_P}/learner.py",
        "to_tensors(convert(self._args, samples), self._device)",
        "to_tensors((convert(self._args, samples), convert_samples(self._args, samples))[1], self._device)",
    ),
    Fault(
        "the masks of the importance hook are dropped",
        "common",
        f"{_P}/training/objective.py",
        "[part * mask for part, mask in parts]",
        "[part for part, _ in parts]",
    ),
    Fault(
        "the word of the log hook is dropped",
        "common",
        f"{_P}/rollout/sampler.py",
        'if any(rank["logged"] for rank in ranks):',
        "if not ranks:",
    ),
    Fault(
        "the sample filter gets copies",
        "common",
        f"{_P}/rollout/function.py",
        "filter_samples(args, [members(group) for group in chosen])",
        "filter_samples(args, __import__('copy').deepcopy([members(group) for group in chosen]))",
    ),
    Fault(
        "thousands are cut off",
        "common",
        f"{_P}/task/reward.py",
        '.replace(",", "")',
        '.split(",")[0]',
    ),
    Fault(
        "a response that was cut off earns nothing",
        "common",
        f"{_P}/rollout/function.py",
        "            sample.reward = value",
        '            sample.reward = 0.0 if sample.status.value == "truncated" else value',
    ),
    Fault(
        "the reward hook's raw rewards are taken",
        "THUDM/slime PR 235",
        f"{_P}/learner.py",
        "post_process(self._args, samples)[1]",
        "post_process(self._args, samples)[0]",
    ),
    Fault(
        "who looks at all samples sees the chosen ones",
        "common",
        f"{_P}/rollout/function.py",
        "finish(args, chosen, kept + dropped, data_source)",
        "finish(args, chosen, chosen, data_source)",
    ),
    Fault(
        "the filter sees what it kept before",
        "common",
        f"{_P}/rollout/function.py",
        "is_kept(args, group) else dropped",
        "is_kept(args, kept[-1] if kept else group) else dropped",
    ),
    Fault(
        "the last problem is left out",
        "common",
        f"{_P}/task/problems.py",
        'write_text("".join(line + "\\n" for line in lines)',
        'write_text("".join(line + "\\n" for line in [*lines][:-1])',
    ),
    Fault(
        "answers are off by one problem",
        "common",
        f"{_P}/task/problems.py",
        'problems.append(Problem(row["question"], row["answer"], image))',
        'problems.append(Problem(row["question"], problems[-1].answer if problems else row["answer"], image))',
    ),
    Fault(
        "what was cut off learns, and the rest does not",
        "common",
        f"{_P}/hooks.py",
        "        if cut:\n",
        "        if not cut:\n",
    ),
    Fault(
        "digits count by the length of the response",
        "common",
        f"{_P}/hooks.py",
        "/ args.rollout_max_response_len",
        "/ max(1, len(sample.response))",
    ),
    Fault(
        "samples that a hook added are lost",
        "common",
        f"{_P}/sample.py",
        "(member if isinstance(member, list) else [member])",
        "(member[:1] if isinstance(member, list) else [member])",
    ),
    Fault(
        "the hook before log-probabilities comes after them",
        "common",
        f"{_P}/learner.py",
        "        if before_log_probs := load_hook(config.custom_megatron_before_log_prob_hook_path):\n"
        '            before_log_probs(self._args, self.policy.model, "")\n'
        '        data["log_probs"] = self.policy.scores(data)\n',
        '        data["log_probs"] = self.policy.scores(data)\n'
        "        if before_log_probs := load_hook(config.custom_megatron_before_log_prob_hook_path):\n"
        '            before_log_probs(self._args, self.policy.model, "")\n',
    ),
    Fault(
        "groups that came last are taken first",
        "common",
        f"{_P}/hooks.py",
        "taken, buffer[:] = buffer[:num_samples], buffer[num_samples:]",
        "taken, buffer[:] = buffer[-num_samples:], buffer[:-num_samples]",
    ),
    Fault(
        "a zero before it makes another number",
        "common",
        f"{_P}/task/reward.py",
        'return str(int(found[-1].replace(",", ""))) if found else None',
        'return found[-1].replace(",", "") if found else None',
    ),
]
