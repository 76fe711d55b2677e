"""How often `trainci explain` is right about tests/cases/verdicts, and what published rules would say.

A published rule answers one question: is this run tried again as no fault of the code? What each looks for is
described here in our own words, from the public source that is named beside it.
"""

import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from verdict.cases import Case, cases

from benchmarks import measure

BLAMES = ("code", "machine", "config", "unsure")


def trainci(case: Case) -> str:
    return case.judged()[1].blame.value


def exit_code(case: Case) -> str:
    """What trainci said before it read logs: the machine's where the test itself says so, the code's otherwise."""
    return "machine" if case.facts.own_fault_code and case.facts.exit_code == 3 else "code"


def any_word(*words: str) -> Callable[[Case], str]:
    """The machine's where any of ``words`` stands anywhere in the log."""
    pattern = re.compile("|".join(map(re.escape, words)))
    return lambda case: "machine" if pattern.search(_text(case)) else "code"


def sglang(case: Case) -> str:
    """Code errors by their names first, and then whatever looks like accuracy, speed or an assertion."""
    text = _text(case)
    if re.search(
        r"(?i)(?:syntax|import|modulenotfound|name|type|attribute|runtime|connectionrefused|filenotfound)error"
        r"|out of memory|oom|segmentation fault|core dumped",
        text,
    ):
        return "code"
    tried_again = re.search(r"(?i)accuracy|score|latency|throughput|timeout|assertionerror", text)
    return "machine" if tried_again else "code"


RULES: dict[str, tuple[str, Callable[[Case], str]]] = {
    "trainci": ("src/trainci/verdict", trainci),
    "exit code alone": ("what trainci said before it read logs", exit_code),
    "a rule as Megatron-LM's": (
        "launch_jet_workload.py at 0184dbf: any of five texts anywhere in the log means try again",
        any_word(
            "Some NCCL operations have failed or timed out.",
            "uncorrectable ECC error encountered",
            "illegal memory access",
            "illegal instruction",
            "torch.distributed.DistNetworkError",
        ),
    ),
    "a rule as NeMo's": (
        "its copy of that launcher in 2025: more such texts, NaN, a segmentation fault and a reset connection too",
        any_word(
            "The server socket has failed to listen",
            "Some NCCL operations have failed or timed out.",
            "uncorrectable ECC error encountered",
            "illegal memory access",
            "illegal instruction",
            "torch.distributed.DistNetworkError",
            "Segmentation fault",
            "found NaN in",
            "CUDA_LAUNCH_BLOCKING=1",
            "double free or corruption",
            "Call to CUDA function failed.",
            "Connection reset by peer",
        ),
    ),
    "a rule as SGLang's": (
        "ci_utils.py at 01471bb: assertions and what speaks of scores or time are tried again, no named error",
        sglang,
    ),
}


def main() -> None:
    every = list(cases())
    answers = {name: [rule(case) for case in every] for name, (_, rule) in RULES.items()}
    said = answers["trainci"]
    confusion = Counter((case.expected["blame"], answer) for case, answer in zip(every, said, strict=True))
    table = [
        f"| {truth} | " + " | ".join(str(confusion[truth, answer]) for answer in BLAMES) + " |" for truth in BLAMES
    ]
    wrong = [
        f"`{case.name}`: {answer}"
        for case, answer in zip(every, said, strict=True)
        if answer != case.expected["blame"]
    ]
    injected = sum(case.name.startswith("injected") for case in every)
    rows = [_row(name, every, answers[name]) for name in RULES]
    text = [
        "# Whose fault it was",
        "",
        f"{len(every)} endings, {injected} of them made by breaking real processes (tests/verdict/injections.py).",
        "Rows: what it was; columns: what trainci says.",
        "",
        "| | " + " | ".join(BLAMES) + " |",
        "|---|" + "---|" * len(BLAMES),
        *table,
        "",
        f"Wrong: {', '.join(wrong) or 'none'}.",
        "",
        "Of the machine's fault (*unsure* and *config* are no answer to that question):",
        "",
        "| rule | found | of | the code's called the machine's | precision | recall |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        "What each looks for:",
        "",
        *(f"- {name}: {source}." for name, (source, _) in RULES.items()),
        "",
        "PyTorch's log classifier (test-infra, ruleset.toml) is not in the table: it names the line of a failure,",
        "by the order of its rules, and not whose fault that is.",
        "",
        *LATER,
        *TEXTS,
        *(_set(*row) for row in SETS),
        "",
        *LAST,
    ]
    path = measure.RESULTS / "verdicts.md"
    path.write_text("\n".join(text) + "\n")
    print(path.read_text())


# Measured once, on a set that was written when the rules were frozen; the set is among the cases since.
LATER = (
    "A set of 55 endings (`later_…`) was written when the rules had been frozen on the first 136. Measured then,",
    "before anything was changed for it: 52 right; machine's fault found 28 of 29 (recall 0.966), said 29 times",
    "(precision 0.966: an image that no registry has is *config*); of the code's none was called the machine's.",
    "A harder set of 30 (`later2_…`), written after that, before anything was changed for it: 23 right; machine's",
    "fault found 9 of 12, and said wrongly once of the code: by a port that had been in use before ten steps",
    "of training. A third one of 26 (`later3_…`), in the same way: 22 right; machine's fault found 10 of 11,",
    "and said wrongly once, of a package's hash that may be anybody's.",
    "Then two larger ones, of what other projects' CI prints as much as of training, labelled before they ran:",
    "155 endings (`blind1_…`): 124 right; machine's fault found 45 of 57 (recall 0.789), said 50 times (precision",
    "0.900); and when what these showed was mended by kind, 99 new ones (`blind2_…`): 80 right; found 34 of 42",
    "(recall 0.810), said 36 times (precision 0.944: two of *config*). In both none of the code's was called the",
    "machine's. What was missed were words of tools that no rule knew (GitHub's Node, Kubernetes, ROCm, NVSHMEM).",
    "When that was mended, too, one of 75 (`blind3_…`), nearer to what training prints: 68 right; found 29 of",
    "32 (recall 0.906), said 29 times (precision 1.000), no code called the machine's.",
    "Those were written from memory. The next is not: 102 endings (`blind4_…`) after public issue threads of",
    "vLLM, SGLang, verl, ray, NCCL, DeepEP, ROCm, CANN, TPUs, enroot, Podman, uv, Slurm and Kubernetes, shortened,",
    "labelled before they ran: 60 right; machine's fault found 30 of 60 (recall 0.500), said 31 times (precision",
    "0.968: what NCCL says of a limit on locked memory, which we would call the machine's now), no code called the",
    "machine's. Most of what was missed were the words of devices, networks and engines that no rule knew, which",
    "then were the code's by their exit code alone.",
    "When that was mended, 72 more in the same manner (`blind5_…`: Gaudi, XPU, Trainium, ROCm, jax, Slurm's",
    "allocation, Mooncake, streamed datasets, apt, cargo, BuildKit; a quarter of them the code's that looks like",
    "the machine's): 46 right; machine's fault found 20 of 29 (recall 0.690), said 26 times (precision 0.769),",
    "twice of the code's: a graph that Gaudi's compiler refuses, which a rule of the mending before had taken for",
    "a device that is lost.",
    "And 61 more after that (`blind6_…`: what CI of NIXL, SGLang, ray, Jenkins, LSF and kubelets print, files of",
    "a cache, pip, submodules, and a third of it the code's that quotes the machine's words): 43 right; machine's",
    "fault found 20 of 28 (recall 0.714), said 23 times (precision 0.870), once of the code's: a test that waits",
    "in vain for a ConnectionError to be raised, where only pytest's last line is left. A lone assertion's words",
    "are no cause since.",
    "And a last one of 61 (`blind7_…`: clouds that have no machine to give, Apptainer, Compose, CMake, leftovers",
    "of jobs before, pytest's lines without their section, and much of the code's): 37 right; machine's fault",
    "found 17 of 30 (recall 0.567), said 18 times (precision 0.944), no code called the machine's. So the nearer",
    "a set is to training itself, the more is found (0.9 of `blind3_…`), and of whatever else a CI may print",
    "about half to two thirds: what no rule knows is called the code's, and is not tried again.",
    "At last 39 endings of the code's that are full of the machine's words (`like_machine_…`: a test's own server",
    "that answers 429, parsers of Xid errors, ValueErrors that quote a port): 35 right, and 3 called the",
    "machine's. A mistake by its type is one where its traceback is cut off, too, since.",
    "With all that mended, 44 of what training itself prints, from memory again (`blind8_…`): 42 right; machine's",
    "fault found 22 of 23 (recall 0.957), said 22 times (precision 1.000), no code called the machine's.",
)


TEXTS = (
    "Then the texts of each layer were gone through as their sources list them (tests/cases/verdict_texts: CUDA,",
    "NVML, Xid, NCCL, verbs, errno, HTTP by the client that tells of it, resolvers, libcurl, gRPC, installers):",
    "466 of 1571 were called wrongly before, none is now. After that, sets in turn, each labelled before it ran,",
    "each measured once before anything was changed for it:",
    "",
    "| set | of what | endings | right | found | recall | said | precision | the code's called the machine's |",
    "|---|---|---|---|---|---|---|---|---|",
)
# Name, of what, endings, right, the machine's found, of how many, said how often, the code's among these.
SETS = (
    ("blind9", "public threads: Slurm, ray, ROCm, Lustre, registries; JSON, ANSI, pdsh", 62, 45, 26, 35, 27, 1),
    ("blind10", "training and its CI, with long noise after the cause", 61, 58, 32, 32, 34, 1),
    ("blind11", "look-alikes for the new rules, and the rim: ARC, PMIx, UCX, TPUs", 60, 40, 16, 29, 20, 2),
    ("blind12", "clouds, engines, builders, dmesg, and the code's own use of such words", 61, 41, 20, 30, 21, 0),
    ("blind13", "what training itself prints", 61, 58, 26, 26, 26, 0),
    ("blind14", "the rim: OpenSSL, ld.so, MPI, GPFS, LSF, kubelets, trackers", 61, 40, 27, 36, 30, 0),
    ("blind15", "half training, half rim, in each way of writing", 59, 47, 26, 32, 26, 0),
    ("blind16", "half and half again, with Xids of programs and tests of its own servers", 60, 51, 30, 34, 31, 0),
    ("blind17", "each way of writing: rich, logfmt, structlog, JSON, annotations, pods", 40, 34, 16, 18, 16, 0),
    (
        "blind18",
        "public threads again: accelerators of every make, enroot, ARC, stores",
        52,
        39,
        28,
        34,
        30,
        0,
    ),
    (
        "blind19",
        "the rim: installers, git, shares, trackers, Kubernetes, Slurm, TPUs",
        50,
        43,
        31,
        35,
        33,
        0,
    ),
    ("like_machine3", "mostly the code's, in the machine's words", 45, 43, 3, 3, 3, 0),
    ("blind20", "noisy ends of several ranks", 40, 38, 16, 18, 16, 0),
    ("blind21", "other makers' devices, batch systems, registries, checkers", 35, 29, 19, 22, 19, 0),
    (
        "blind22",
        "public threads: runners, registries, installers, shares, Jenkins, EFA, Ascend; facts",
        90,
        73,
        43,
        56,
        44,
        0,
    ),
    (
        "blind23",
        "after that was mended, public threads again: the hub, full disks, launchers, interleaved ranks; facts",
        50,
        43,
        25,
        26,
        26,
        0,
    ),
    ("blind24", "and from memory: training and its CI, facts, configuration", 46, 42, 19, 21, 20, 1),
    (
        "blind25a",
        "public threads: builders, go, cargo, bazel, mamba, LFS, streams, facts; the half that was mended on",
        82,
        61,
        43,
        50,
        46,
        2,
    ),
    ("blind25b", "the other half of it, drawn by a hash, when the first was mended", 96, 72, 53, 63, 59, 1),
    (
        "blind26",
        "and then what runs jobs: Kubeflow, Flyte, SageMaker, Spark; stores, devices",
        62,
        41,
        23,
        35,
        24,
        1,
    ),
    (
        "blind27a",
        "public threads (vLLM, SGLang, torch, TheRock, Slurm, LFS) and memory; the half that was mended on",
        105,
        85,
        41,
        50,
        45,
        0,
    ),
    ("blind27b", "the other half of it, drawn by a hash, read when the first was mended", 111, 96, 51, 56, 55, 2),
    ("blind28", "after that, from memory: longer ends, whole families, look-alikes", 86, 77, 35, 40, 37, 1),
    ("blind29", "and again: trainers, engines, Kubernetes, batch systems, facts", 81, 70, 35, 40, 36, 0),
    ("blind30", "and again: environments, tools, ray, registries, look-alikes", 60, 47, 21, 24, 23, 2),
    ("blind31", "and a small one of each family that the issue names", 30, 27, 15, 16, 17, 1),
    ("-", "of kinds in none of the lists below; not among the cases", 60, 49, 32, 34, 32, 0),
    ("unseen1", "by who had read no rule: the issue's families, public threads", 160, 130, 54, 60, 62, 3),
    ("unseen1", "the same hand's second, when the first was mended; 17 of both are cases", 140, 115, 49, 54, 54, 3),
    ("-", "the same hand's third, when the second was mended", 130, 112, 48, 51, 50, 1),
    ("blind33", "by three more who had read no rule, each half of a set: the first", 60, 54, 24, 24, 25, 0),
    ("blind33", "the second's, partly of real processes", 69, 60, 23, 27, 23, 0),
    ("blind33", "the third's; 11 of the three are cases, with 16 of their kinds", 60, 53, 23, 24, 24, 1),
    ("-", "the other half of the first's, when these were mended", 60, 56, 22, 24, 22, 0),
    ("-", "the other half of the second's", 68, 55, 22, 25, 24, 0),
    ("-", "the other half of the third's", 60, 52, 22, 24, 23, 1),
    ("-", "by a fourth who had read no rule, on the same code", 100, 90, 40, 41, 41, 0),
    ("-", "by a fifth, when some of that was mended", 90, 82, 34, 36, 35, 0),
    ("-", "after public threads, two halves by one hand", 100, 93, 37, 40, 39, 0),
    ("-", "from an SRE's memory, two halves by one hand", 100, 93, 40, 40, 43, 2),
    ("blind36", "by an adversary, each ending a trap: two halves", 100, 66, 24, 40, 30, 5),
    ("-", "what a lab's CI shows, when these were mended", 60, 56, 23, 24, 24, 0),
    ("blind37", "by another adversary", 60, 45, 14, 24, 16, 2),
    ("blind37", "by a maintainer of a training framework, when that was mended", 60, 53, 21, 24, 22, 0),
    ("-", "by a team of reinforcement learning, when that was mended", 60, 52, 23, 24, 23, 0),
)
LAST = (
    "What the code's was taken for: a test's own `raise ConnectionError`, a stand-in for a server (responses, a",
    "test client), a test's name that holds a fault's words. Kinds of these are read since. Of each set the",
    "labels of one to five endings, which older cases of their kind do not have, were set right after it ran.",
    "The sets are among the cases since, what they showed is mended: the table above is no promise about",
    "endings that nobody here has seen; the sets as they were first measured are the nearest to one. Up to",
    "`blind17` whoever wrote the rules labelled the sets, too; who wrote the next three had read no rule. Those",
    "from `blind22` on are by who mended them: labels first, before the rules were asked. Nine endings of",
    "`blind25`, six of `blind26`, four of `blind27`, five of `blind30` and three of `blind31` are called",
    "otherwise than their labels still, and are not among the cases (a stand-in below the error that it raised,",
    "a read-only disk that was asked for, a time-out that names nobody). When its first half was mended, the",
    "second half of `blind27` was asked again: 96 were right, as before; what one half shows seldom mends",
    "anything of the other.",
    "",
    "Then whole lists in place of threads: what Python's clients, the hub, clouds, curl and wget, git and ssh,",
    "installers, container engines, files and disks, databases, runners, and certificates, resolvers and proxies",
    "print when they fail, 1,555 messages from memory of their sources, labelled before they were read (what",
    "depends on who was asked has several labels), each in two endings: of a script and a test, or of a step as",
    "two CI systems show it. Of those that are the machine's alone 1,155 of 1,336 were found before (recall 0.865;",
    "34 said wrongly, 12 of them the code's), 1,313 after (0.983; none wrongly). The same messages as the code's",
    "(in an assertion, in a ValueError or a `raise` of a test's own, printed and passed by) were called the",
    "machine's 15 times in 8,850 endings before, and not after in the ten lists that were asked again. Of",
    "twins that name this host 66 of 296 still are: a proxy, a resolver, a container engine. 96 of these endings",
    "are cases since (`lists`).",
    "",
    "Of the three halves of `blind33` together 167 of 189 were right; machine's fault found 70 of 75 (recall",
    "0.933), said 72 times (precision 0.972), once of the code's: a warning two lines above a traceback made it",
    "one that is tried again. When that was mended, 178 are right, 75 found, said 76 times (1.000 and 0.987).",
    "Eleven are called otherwise still: four requirements and a flag that the repository itself asks for wrongly",
    "(*code* here, *config* there), four deadlocks that a time-out's stacks show and a port that the test's own",
    "server has (*unsure* here), and a runner that may not ask Docker (*machine* here).",
    "Of the other halves and the fourth's set together, which nobody had mended by, 253 of 288 were right; found",
    "106 of 114 (recall 0.930), said 110 times (precision 0.964), once of the code's: the second of two ray",
    "clusters that a script starts on one port. Seven of the other 34 are requirements and flags, as above.",
    "Of the fourth's and the fifth's, both of the issue's families, 74 of 77 were found (0.961), and said 76 times",
    "(0.974). The fifth's showed that ray's actors that name themselves (`Worker[rank=0] pid=7`) were not known.",
    "Of the last seven, the five that are no traps: 347 of 380 right, found 144 of 152 (recall 0.947), said 151",
    "times (precision 0.954), twice of the code's: a warning of a cache above a linter's findings, and a port that",
    "the test's own process held. Of the two of traps 38 of 64 were found (0.594), said 46 times (0.826), seven",
    "times of the code's: what tests of googletest, Go, doctest and a shell quote, a curl that a loop tried again,",
    "an own port. A part of each is a case.",
)


def _set(name: str, of: str, endings: int, right: int, found: int, machine: int, said: int, wrong: int) -> str:
    figures = f"{found} of {machine} | {found / machine:.3f} | {said} | {found / said:.3f} | {wrong}"
    return f"| `{name}` | {of} | {endings} | {right} | {figures} |"


def _row(name: str, every: Sequence[Case], answers: Sequence[str]) -> str:
    pairs = [(case.expected["blame"], answer) for case, answer in zip(every, answers, strict=True)]
    machine = sum(truth == "machine" for truth, _ in pairs)
    found = sum(truth == answer == "machine" for truth, answer in pairs)
    said = sum(answer == "machine" for _, answer in pairs)
    wrong = sum(truth == "code" and answer == "machine" for truth, answer in pairs)
    precision = f"{found / said:.3f}" if said else "-"
    return f"| {name} | {found} | {machine} | {wrong} | {precision} | {found / machine:.3f} |"


def _text(case: Case) -> str:
    return case.log.decode("utf-8", "replace")


if __name__ == "__main__":
    main()
