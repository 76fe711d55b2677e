"""A shell script that throws away how its tests went is found, and one that does not is left alone."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.catalog.shell.lost import read_shell
from trainci.catalog.styles.base import Source
from trainci.catalog.styles.shell import Shell
from trainci.catalog.styles.words import Words

CERTAIN = [
    "python a.py > log\ncp log kept",
    "python a.py\nmv made kept\necho over",
    "python a.py | tee log\nexit ${PIPESTATUS[1]}",
    "python a.py | tee log; echo over; exit ${PIPESTATUS[0]}",
    "python a.py | tee log\n[ ${PIPESTATUS[1]} -eq 0 ] || exit 1",
    "python a.py || exit 256",
    "python a.py || exit $((256))",
    "n=64\npython a.py || exit $((n * 4))",
    "failed=0\npython a.py || failed=$((failed + 256))\nexit $failed",
    "pytest tests | tee log",
    "python3 train.py 2>&1 | tee train.log",
    "set -ex\npython -m pytest tests | tee log",
    "torchrun --nproc-per-node 2 \\\n  train.py \\\n  | tee log",
    "HF_HOME=/x python train.py | grep -v INFO",
    "pytest tests || true",
    "torchrun x.py || :",
    "set -e\npytest tests || exit 0",
    "pytest tests || echo 'some tests failed'",
    "set -e\ntrap 'rm -f x; exit 0' EXIT\npython train.py",
    "end() { echo bye; exit 0; }\ntrap end EXIT\npython train.py",
    "trap 'exit 0' ERR\npython train.py",
    "set -e\npython a.py || echo failed",
    "pytest a\necho done",
    'out=$(python a.py); echo "$out"',
    "python a.py; echo $?",
    'python a.py\nrc=$?\necho "rc $rc"',
    "pytest a; true",
    "set +e\npython a.py; exit 0",
    "pytest a |& tee log",
    "pytest a || { echo failed; }",
    "pytest a || (\n  echo failed\n)",
    "pytest a && echo good || echo bad",
    "set -e\npytest a && echo good\necho done",
    "timeout 60 uv run python a.py || echo failed",
    "if pytest a; then echo good; fi",
    "if ! pytest a; then echo bad; fi",
    "if pytest a; then\n  echo good\nelse\n  echo bad\nfi",
    "python a.py &\nwait",
    "if python -c 'import own'; then echo good; fi",
    "set -euo pipefail\nif python a.py | grep -q OK; then echo good; fi",
    "cat << END | bash\npython a.py\necho done\nEND",
    "echo 'python a.py; true' | bash",
    "nohup python a.py > log 2>&1 &\nsleep 1",
    "(python a.py; echo done)",
    "{ python a.py; true; }",
    "export x=$(python a.py)",
    "run() {\n  local x=$(python a.py)\n}\nrun",
    "echo `pytest a`",
    "bash -c 'python a.py || true'",
    'bash -c "python a.py | tee log"',
    "eval 'python a.py || true'",
    "run() { python a.py; echo done; }\nset -e\nrun || exit 1",
    "run() {\n  pytest a\n}\nif run; then echo good; fi",
    "CMD='python a.py'\n$CMD || true",
    "./all_tests.sh || true",
    "bash all_tests.sh; echo done",
    "source all_tests.sh || true",
    "source .venv/bin/activate\npytest a | tee log",
    "make test || true",
    "for t in a b; do\n  python $t || echo bad\ndone",
    "find tests -name '*.py' -exec python {} \\;",
    "script -c 'pytest a' log",
    "sbatch job.sh",
    "docker run -d image pytest a",
    "ray job submit --no-wait -- python a.py",
    "pytest --setup-plan a",
    "python --version",
    # Nothing ever comes to the test.
    "run() {\n  pytest a\n}",
    "#!/bin/bash\nset -euo pipefail\nexport A=1\nfunction run {\n  pytest a\n}",
    "run() { pytest a; }",
    "exit 0\npytest a",
    "echo hello\nexit\npytest a",
    "exec echo hello\npytest a",
    # It looks at the exit code, and is green all the same.
    "timeout 5 python a.py || [ $? -eq 124 ] || true",
    "timeout 5 python a.py || [ $? -eq 1 ]",
    "python a.py; [ $? -ne 137 ]",
    "python a.py\n[ $? -eq 0 ] && echo good || echo bad",
    "python a.py\nif [ $? -ne 0 ]; then\n  echo bad\nfi\necho done",
    "python a.py\nrc=$?\nif [ $rc -eq 1 ]; then exit 0; fi\nexit $rc",
    "bad=0\npython a.py || bad=1\nif [[ $bad -ne 0 ]]; then echo bad; fi\nexit 0",
    "bad=0\npython a.py || ((bad++))\nif ((bad > 0)); then echo bad; fi\nexit 0",
    "bad=0\npython a.py || bad=$((bad + 1))\nif ! [ $bad = 0 ]; then echo bad; fi",
    # It waits, and makes nothing of it.
    "python a.py &\npid=$!\nwait $pid || true",
    "python a.py &\nwait -n || true",
    "python a.py &\npid=$!\nwhile kill -0 $pid 2>/dev/null; do sleep 0.1; done\necho done",
    'pids=()\npython a.py &\npids+=($!)\nfor p in "${pids[@]}"; do wait $p; done\necho done',
    # The script stands below what starts it.
    "echo x | xargs -I{} sh -c 'python a.py {} || true'",
    "find . -maxdepth 0 -exec bash -c 'python a.py; true' \\;",
    "find . -maxdepth 0 -exec bash -c 'python a.py || true' _ {} +",
    "env A=1 timeout 60 bash -o pipefail -c 'python a.py; echo done'",
    "false || true",
    "sh -ec 'false || exit 0'",
    "bash << 'END'\npython a.py\necho done\nEND",
    "sh -e - <<END\npython a.py || true\nEND",
    "ls a | parallel -j1 'pytest {}; echo {} done'",
    "cat <(python a.py)",
    "coproc python a.py\ncat <&${COPROC[0]}\necho done",
    "docker run -d --name c image pytest a\ndocker logs -f c",
    "ray job submit --no-wait -- python a.py\nray job logs -f x",
    # It counts, and makes nothing of it.
    "bad=0\nfor t in a.py b.py; do\n  pytest $t || bad=$((bad + 1))\ndone\necho $bad failed",
    "bad=0\nls | while read f; do pytest $f || bad=1; done\nexit $bad",
    "bad=0\n(python a.py || bad=1)\nexit $bad",
    "n=0\nuntil python a.py || [ $n -ge 2 ]; do n=$((n + 1)); done",
    "set -E\ntrap 'echo bad' ERR\npython a.py\necho done",
]
MUST_FAIL = [
    "! python a.py",
    "set -e\n! pytest a",
    "if python a.py; then exit 1; fi",
    "if pytest a; then\n  echo bad\n  exit 1\nfi",
    "python a.py && exit 1 || true",
    "python a.py && { echo bad; exit 1; }\nexit 0",
    "set +e\npytest a\ntest $? -eq 1",
    "python a.py\n[ $? -ne 0 ]",
    "python a.py; rc=$?\n(( rc == 1 )) || exit 1",
    "set +e\npython a.py\nrc=$?\nif [[ $rc -eq 1 ]]; then exit 0; else exit 1; fi",
    "rc=0\npython a.py || rc=$?\ncase $rc in\n  0) exit 1 ;;\n  *) echo good ;;\nesac",
    "out=$(python a.py 2>&1) && exit 1\necho $out",
    'must_fail() { if "$@"; then exit 1; fi; }\nmust_fail python a.py\nmust_fail python b.py',
    "if python a.py; then exit 1; fi\nif ! python b.py; then echo good; else exit 1; fi",
]
PERHAPS = [
    "set -e\nif python -c 'import own.tests'; then A=1; fi\npython b.py",
    "set -e\nif pytest a | grep -q passed; then echo good; fi\npython b.py",
    "set -e\npython -c 'import own' || echo bad\npytest a",
    "python a.py\nexit_code=$?\necho $exit_code\nexit $EXIT_CODE",
    "python a.py &\na=$!\npython b.py &\nwait $a $!",
    "python a.py --out made\nmv made kept",
    "python a.py\ncp -r made kept",
    "set -e\nif python -c 'print(1)' | grep -q False; then exit; fi\npytest a",
    "python probe.py | grep -q yes && exit 0\npython a.py",
    "python a.py\npython b.py",
    "python prepare.py || true\nset -e\npython b.py",
    "for t in a b; do\n  pytest $t\ndone",
    "for t in a b; do pytest $t; done",
    "set -e\nset +e\npython a.py\npython b.py",
    "python server.py &\npython client.py",
    "#!/bin/bash -e\npython a.py\npython b.py",
    "python a.py | tee log\npython b.py",
    "set -e\npython a.py && echo good\npython b.py",
    'if [ -n "$RUN_IT" ]; then\n  python a.py\nfi',
    '[ -z "$RUN_IT" ] || python a.py',
    '[ -n "$RUN_IT" ] || exit 0\npython a.py',
    "if [[ -z $RUN_IT ]]; then\n  echo skipped\n  exit 0\nfi\npytest a",
    "case $RUN_IT in\n  yes) python a.py ;;\nesac",
    "docker logs -f $(docker run -d image pytest a)\nexit $(docker wait c)",
    "ray job submit --no-wait -- python a.py\nray job status x | grep -q SUCCEEDED",
]
SOUND = [
    "set -e\nif python -c 'import torch'; then echo there; else pip install torch; fi\npytest a",
    "set -e\npython -c 'import torch' || pip install torch\npytest a",
    "set -e\nif python probe.py 2>&1 | grep -qi cuda; then A=1; fi\npytest a",
    "if python a.py | grep -q OK; then echo good; else exit 1; fi",
    "set -e\nV=$(python -c 'print(1)' | head -1)\npytest a",
    "set -e\npython server.py &\nserver=$!\npython a.py\nkill $server",
    "read code < <(python a.py; echo $?)\nexit $code",
    "cat << END | bash -e\npython a.py\necho done\nEND",
    "echo 'python a.py' | bash",
    "python a.py | tee log; exit $PIPESTATUS",
    "python a.py | tee log; rc=${PIPESTATUS[0]}; echo over; exit $rc",
    "python a.py | tee log\n[ ${PIPESTATUS[0]} -eq 0 ] || exit 1",
    "python a.py | grep -v INFO | tee log; all=(${PIPESTATUS[@]}); exit ${all[0]}",
    "python a.py || exit $((256 - 1))",
    "failed=0\npython a.py || failed=$((failed * 2 + 1))\nexit $failed",
    "python a.py || exit $(($? % 256))",
    "python train.py",
    "set -e\npython a.py\npython b.py",
    "set -euo pipefail\npython a.py | tee log\npython b.py",
    "set -o errexit\npython a.py\npython b.py",
    "pytest a && pytest b",
    "python a.py\ncode=$?\necho done\nexit $code",
    'python a.py\nrc=$?\necho "rc $rc"\nexit $rc',
    'out=$(python a.py)\necho "$out"\n[[ $out == *ok* ]]',
    'out=$(python a.py); echo "$out" | grep -q ok',
    "args=()\npython a.py",
    'pids=()\npython a.py &\npids+=($!)\nfor p in "${pids[@]}"; do wait $p || bad=1; done\nexit ${bad:-0}',
    "python a.py | tee log\nexit ${PIPESTATUS[0]}",
    "if python a.py; then\n  echo good\nelse\n  exit 1\nfi",
    "pkill -9 sglang\npython train.py",
    "ray stop || true\npython train.py",
    "# python a.py | tee log\npython train.py",
    "cat <<EOF\npython a.py | tee log\nEOF\npython train.py",
    "echo 'python a.py | tee log'\npython train.py",
    "python train.py --filter 'a|b'",
    "python train.py \\\n  --a 1 \\\n  --b 2",
    "python a.py || exit 1\npython b.py",
    "trap 'exit 0' TERM\nset -e\npython a.py",
    "trap 'rm -f x' EXIT\nset -e\npython a.py",
    "set -e\nfor t in a b; do\n  pytest $t\ndone",
    "for n in 1 2; do\n  python a.py || exit 1\ndone",
    "until python a.py; do sleep 1; done",
    "source $HERE/common.env\ncd x\npytest a | tee log\npytest b\nrm -rf y",
    "pytest a || pytest --lf a",
    "pytest a || { cat log; exit 1; }",
    "trap 'rm -f x; exit' EXIT\npython a.py",
    "failed=0\npython a.py || failed=1\npython b.py || failed=1\nexit $failed",
    'for t in a b; do\n  pytest $t || bad=$((bad + 1))\ndone\n[ -z "$bad" ] || exit 1',
    "python a.py &\npid=$!\nwait $pid",
    "python a.py\nif [ $? -ne 0 ]; then exit 1; fi\necho done",
    "run() {\n  set -e\n  python a.py\n}\nrun",
    "run() { pytest a || return 1; }\nrun",
    "case $1 in\n  a) python a.py ;;\n  *) python b.py ;;\nesac",
    "bash -ec 'python a.py; echo done'",
    "set -e\nversion=$(python -c 'print(1)')\npytest a",
    "docker run --rm image pytest a",
    "sbatch --wait job.sh",
    "find tests -name '*.py' -exec python {} +",
    "exec python a.py",
    "echo hello",
    "(cd sub && python a.py)",
    "cmake --build . && ctest",
    "args=(\n  --a 1\n  --b 2\n)\npython a.py ${args[@]}",
    "python a.py &\nwait $! || exit 1",
    "python a.py &\npid=$!\nwait $pid\nrc=$?\necho $rc\nexit $rc",
    "python a.py || { rc=$?; echo bad; exit $rc; }",
    "if python a.py; then :; else rc=$?; echo bad; exit $rc; fi",
    "stop() { rc=$?; echo bye; exit $rc; }\ntrap stop EXIT\npython a.py",
    "bad=0\nfor t in a b; do\n  python a.py || ((bad++))\ndone\nif ((bad)); then exit 1; fi\necho done",
    "bad=0\npython a.py || let bad+=1\nif [[ $bad -gt 0 ]]; then exit 1; fi\necho done",
    "timeout 5 python a.py || [ $? -eq 124 ]",
    "find . -maxdepth 0 -exec sh -c 'python a.py' {} +",
    "bash -e << 'END'\npython a.py\necho done\nEND",
    "ls a | parallel -j1 'pytest {} && echo {} done'",
    "sbatch job.sh\nwhile squeue --me | grep -q job; do sleep 1; done\nsacct -j 1 | grep -q COMPLETED",
    "coproc pytest a\npid=$COPROC_PID\ncat <&${COPROC[0]}\nwait $pid",
    "set -eE\ntrap 'echo bad' ERR\npython a.py\necho done",
    "bad=0\nwhile read f; do python a.py $f || bad=1; done < <(ls)\nexit $bad",
    "bad=()\nfor t in a b; do\n  python a.py $t || bad+=($t)\ndone\nexit ${#bad[@]}",
    "declare -i bad=0\npython a.py || declare bad=1\n[ $bad = 0 ]",
    "n=0\nuntil python a.py; do n=$((n + 1)); [ $n -lt 3 ] || exit 1; done",
]


@pytest.mark.parametrize("text", CERTAIN)
def test_a_result_that_goes_nowhere_is_found_for_certain(text: str) -> None:
    lost = read_shell(text).lost
    assert [one.certain for one in lost] == [True]


@pytest.mark.parametrize("text", MUST_FAIL)
def test_a_script_that_is_red_where_nothing_fails_expects_it(text: str) -> None:
    script = read_shell(text)
    assert (script.lost, script.expects.failure) == ((), True)


@pytest.mark.parametrize("text", MUST_FAIL)
def test_such_a_script_is_red_where_nothing_fails(text: str, tmp_path: Path) -> None:
    for name in ("python", "pytest"):
        (tmp_path / name).symlink_to("/bin/true")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert subprocess.run(["bash", "-c", text], env=environment, check=False, capture_output=True).returncode


def test_beside_what_must_fail_another_failure_is_lost_as_ever() -> None:
    (lost,) = read_shell("if python a.py; then exit 1; fi\npython b.py\necho done").lost
    assert (lost.line, lost.certain) == (2, False)


@pytest.mark.parametrize("text", ["PYTHONOPTIMIZE=1 python a.py", "env A=1 PYTHONINSPECT=1 python a.py"])
def test_what_hides_failures_for_one_command_is_found(text: str) -> None:
    assert [one.certain for one in read_shell(text).lost] == [True]


def test_a_case_of_a_number_goes_its_way() -> None:
    text = "python a.py\nrc=$?\ncase $rc in\n  {}) exit 0 ;;\n  *) exit $rc ;;\nesac"
    assert read_shell(text.format("0|5")).lost == ()
    assert [one.certain for one in read_shell(text.format("0|[12]")).lost] == [True]


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("for i in 1 2; do python a.py --seed $i && break; done", True),
        ("for i in 1 2; do if python a.py --seed $i; then exit 0; fi; done; exit 1", True),
        ("until python a.py --port $p; do p=$((p + 1)); done", True),
        ("python a.py --fast || python a.py --safe", True),
        ("for i in 1 2; do python a.py --size $i; done", False),
        ("for i in 1 2; do python a.py --size $i || exit 1; done", False),
        ("python a.py || python b.py", False),
    ],
)
def test_a_script_says_that_it_tries_a_program_again(text: str, again: bool) -> None:
    assert read_shell(text).expects.again is again


@pytest.mark.parametrize("text", PERHAPS)
def test_what_may_go_nowhere_is_told_and_not_refused(text: str) -> None:
    lost = read_shell(text).lost
    assert lost and not any(one.certain for one in lost)


@pytest.mark.parametrize("text", SOUND)
def test_a_script_that_heeds_its_results_is_left_alone(text: str) -> None:
    script = read_shell(text)
    assert script.lost == () and not script.idle


@pytest.mark.slow
@pytest.mark.parametrize("text", [*(text for text in CERTAIN if "python a.py" in text)])
def test_such_a_script_is_green_over_a_failure(text: str, tmp_path: Path) -> None:
    """That these are faults is no opinion: the shell itself exits with 0."""
    for name in ("python", "uv", "ray"):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {int(name != 'ray')}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", text], cwd=tmp_path, capture_output=True, env=environment)
    assert done.returncode == 0, done


RED = [text for text in SOUND if "python a.py" in text and not text.startswith(("until", "ray"))]


@pytest.mark.slow
@pytest.mark.parametrize("text", RED)
def test_a_script_that_is_left_alone_is_red_over_a_failure(text: str, tmp_path: Path) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "sub").mkdir()
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", text, "x", "a"], cwd=tmp_path, capture_output=True, env=environment)
    assert done.returncode != 0, done


# By the file that a script takes over, what `run_all.sh` is.
SOURCED = {
    "python a.py\necho done\n": True,
    "set -e\npython a.py\necho done\n": False,
    "python a.py || return 0\n": True,
    "python a.py || return 1\n": False,
}


@pytest.mark.parametrize("word", ["x/run_all.sh", '"$(dirname "$0")/../x/run_all.sh"', "$HERE/../x/run_all.sh"])
@pytest.mark.parametrize("text", SOURCED)
def test_a_file_that_is_sourced_is_followed(text: str, word: str, repository: Any) -> None:
    here = 'HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"\n'
    repository.write("x/run_all.sh", text)
    repository.write("tests/a.sh", f"{here}source {word}\n")
    repository.write("a.py", "assert False\n")
    says = Shell().read(Source(repository.root, "tests/a.sh"))
    assert bool(says.refusal) is SOURCED[text], says
    done = subprocess.run(["bash", "tests/a.sh"], cwd=repository.root, capture_output=True)
    assert (done.returncode == 0) is SOURCED[text]


def test_what_a_sourced_file_sets_holds_for_the_script(repository: Any) -> None:
    repository.write("x/sets.sh", "set -eo pipefail\n")
    repository.write("x/empty.sh", "export A=1\n")
    for name, lost in (("sets", False), ("empty", True), ("not-there", False)):
        repository.write("a.sh", f". x/{name}.sh\npython a.py | tee log\necho done\n")
        assert bool(Shell().read(Source(repository.root, "a.sh")).refusal) is lost, name


STARTED = {
    "bash x/b.sh": "x/b.sh:2: `|| true` throws the exit code away",
    "set -e\n./x/b.sh": "x/b.sh:2: `|| true` throws the exit code away",
    "python3 x/c.py": "x/c.py:3: the exit code of `subprocess.run` goes nowhere",
    "make bad": "Makefile:2: the failure of this line is ignored",
    "make again": "Makefile:2: the failure of this line is ignored",
    "make it-bad": "Makefile:8: the failure of this line is ignored",
    "make script": "x/b.sh:2: `|| true` throws the exit code away",
}


@pytest.mark.parametrize("command", STARTED)
def test_a_file_that_a_command_starts_is_read(command: str, repository: Any) -> None:
    repository.write("x/b.sh", "#!/bin/bash\npython3 x/bad.py || true\n")
    repository.write("x/bad.py", "assert False\n")
    repository.write(
        "x/c.py",
        "import subprocess\nif __name__ == '__main__':\n    subprocess.run(['python3', 'x/bad.py'])\n",
    )
    recipes = "bad:\n\t-python3 x/bad.py\nagain:\n\t$(MAKE) bad\nscript:\n\t./x/b.sh\nit-%:\n\t-python3 x/bad.py\n"
    repository.write("Makefile", recipes)
    (repository.root / "x/b.sh").chmod(0o755)
    repository.write("a.sh", f"{command}\n")
    as_entry = tuple(command.rpartition("\n")[2].split())
    for says in (
        Words().read(Source(repository.root, "", as_entry)),
        Shell().read(Source(repository.root, "a.sh")),
    ):
        assert STARTED[command] in says.refusal, says
    done = subprocess.run(["bash", "a.sh"], cwd=repository.root, capture_output=True)
    assert done.returncode == 0, done


def test_a_file_that_a_command_hands_to_a_module_is_not_the_program(repository: Any) -> None:
    repository.write("x/test_c.py", "import pytest\nif __name__ == '__main__':\n    pytest.main([__file__])\n")
    for starts, refused in (
        ("torchrun --nproc_per_node=8 -m pytest", False),
        ("accelerate launch --module pytest", False),
        ("python -m pytest", False),
        ("torchrun --nproc_per_node=8", True),
        ("python", True),
    ):
        says = Words().read(Source(repository.root, "", (*starts.split(), "x/test_c.py", "-m", "slow")))
        assert bool(says.refusal) is refused, (starts, says)


def test_a_file_that_starts_itself_is_read_in_time(repository: Any) -> None:
    repository.write("a.sh", "source a.sh\nbash a.sh\n./a.sh\nmake a\npython a.py\n")
    repository.write("Makefile", "a: a\n\tbash a.sh\n\tmake a\n")
    began = time.process_time()
    Shell().read(Source(repository.root, "a.sh"))
    assert time.process_time() - began < 5


@pytest.mark.slow
def test_a_makefile_that_calls_itself_is_read_in_time(repository: Any) -> None:
    rules = "".join(f"a{at}: a{at + 1}\n\tmake a{at + 1} && $(MAKE) a{at}\n" for at in range(2000))
    repository.write("Makefile", f"a: a0\n\tmake -f Makefile a\n\tbash r.sh\n{rules}")
    repository.write("r.sh", "make a\nbash r.sh\n" * 200)
    began = time.process_time()
    Words().read(Source(repository.root, "", ("make", "a")))
    assert time.process_time() - began < 10


def test_a_program_that_python_is_given_to_read_is_one_that_a_script_starts(repository: Any) -> None:
    repository.write("trainci.toml", '[suites.s]\nnum_gpus = 0\ntests = ["tests/a.sh"]\n')
    program = "import subprocess\nsubprocess.run(['python', 'a.py'])\n"
    repository.write("tests/a.sh", f"python - << 'END'\n{program}END\n")
    said = repository.trainci("check").out
    assert "tests/a.sh:1: python -c: the exit code of `subprocess.run` goes nowhere" in said


def test_a_script_that_runs_nothing_is_idle() -> None:
    for text in ("", "# a comment\n", "A=1\nexport B=2\nset -e\n", "exit 0\n"):
        assert read_shell(text).idle, text


def test_a_pytest_that_always_runs_is_told_from_one_that_may_not() -> None:
    assert read_shell("set -e\ncd x\npytest a").always_pytest
    assert read_shell("run() { pytest a; }\nrun").always_pytest
    assert read_shell("find a -name 'test_*.py' | xargs -r -n1 python -m pytest").always_pytest
    assert not read_shell("if [ -d x ]; then pytest a; fi").always_pytest
    assert read_shell("[ -d x ] || exit 0\nuv run pytest a").may_turn_away
    for other in ("pytest a", "python b.py; [ -d x ] || exit 0\npytest a", "[ -d x ] && pytest a\nbash b.sh"):
        assert not read_shell(f"set -e\n{other}").may_turn_away, other
    assert not read_shell("[ -d x ] && pytest a").always_pytest


LINES = (
    "python a.py || [ -d x ] && false\n",
    "pytest a; b=$?\n",
    "! pytest a\n",
    "python a &\n",
    "if [ a ]; then A=1; fi\n",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        *(line * 2000 for line in LINES),
        *("set -e\n" + line * 200 for line in LINES),
        "if x; then\n" * 5000,
        "(" * 20000,
        "for a in b c; do\n" * 50 + "python a\n" + "done\n" * 50,
    ],
    ids=lambda text: f"{text[:24]!a}",
)
def test_a_script_that_is_too_large_or_too_deep_costs_no_time(text: str) -> None:
    began = time.process_time()
    read_shell(text)
    assert time.process_time() - began < 10


def test_lines_are_those_of_the_file() -> None:
    (lost,) = read_shell("#!/bin/bash\n\n# a comment\npytest \\\n  tests | tee log\n").lost
    assert lost.line == 4


def test_a_call_of_pytest_is_a_command_and_no_word() -> None:
    assert read_shell("pytest a\npython -m pytest b; /opt/bin/pytest c\necho pytest\n# pytest d").pytest_calls == 3
    assert read_shell("if ! pytest a; then exit 1; fi").pytest_calls == 1


@given(st.text("ab |&;\\\n#'\"<E()$set-pytonh", max_size=80))
def test_any_text_is_read(text: str) -> None:
    read_shell(text)


def test_such_a_script_is_refused_with_its_line_and_a_sound_one_is_run(repository: Any) -> None:
    repository.write("trainci.toml", '[suites.s]\nnum_gpus = 0\ntests = ["tests/a.sh", "tests/b.sh"]\n')
    repository.write("tests/a.sh", "#!/bin/bash\npytest tests | tee log\n")
    repository.write("tests/b.sh", "echo hello\n")
    locks = {"TRAINCI_LOCK_DIR": str(repository.root / "locks")}
    said = repository.trainci("run", "s", "--devices", "cpu:1", environment=locks)
    assert said.code == 2
    assert "refused         tests/a.sh:2: the exit code of a pipe is that of its last program" in said.out
    assert "passed tests/b.sh" in said.out


def test_a_program_that_only_defines_its_tests_runs_nothing(repository: Any) -> None:
    """`python test_x.py` where pytest is meant: it ends with 0."""
    tests = "import pytest\nNUM_GPUS = 2\n\n@pytest.mark.slow\ndef test_a():\n    assert 0\n"
    repository.write("x/test_a.py", tests)
    repository.write("x/main.py", f"{tests}test_a()\n")
    repository.write("x/names.py", "from x.main import test_a\n")
    for words, refused in (
        ("python3 x/test_a.py", True),
        ("python3 -u -m x.test_a", True),
        ("taskset -c 0-3 nice -n 5 python3 x/test_a.py", True),
        ("coverage run --branch x/test_a.py", True),
        ("mpirun -n 2 python3 x/test_a.py", True),
        ("torchrun --nproc-per-node 2 x/test_a.py", True),
        ("numactl -N 0 python3 -m pytest x/test_a.py", False),
        ("python3 -m torch.distributed.run x/test_a.py", False),
        ("python3 x/main.py", False),
        ("python3 x/names.py", False),
    ):
        said = "x/test_a.py:5: as a program it defines and runs nothing"
        says = Words().read(Source(repository.root, "", tuple(words.split())))
        assert says.refusal.startswith(said) is refused, words
        for text in (f"{words}\n", f"set -e\n{words}\n", f"set -e\n{words}\n{words} --again\n"):
            repository.write("a.sh", text)
            assert (said in Shell().read(Source(repository.root, "a.sh")).refusal) is refused, text
        repository.write("a.sh", f"set -e\n{words}\npython3 x/main.py\n")
        says = Shell().read(Source(repository.root, "a.sh"))
        assert not says.refusal and any(said in remark for _, remark in says.remarks) is refused, words
