"""main(prepare, execute), as a test file runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FILE = """
import os
from trainci.errors import MachineError
from trainci.testing import main

def prepare():
    print("prepare", os.environ.get("https_proxy"), flush=True)

def execute():
    print("execute", sorted(name for name in os.environ if name.lower().endswith("_proxy")), flush=True)
    {body}

if __name__ == "__main__":
    main(prepare, execute)
"""

# As curl, urllib (any case), httpx, gRPC and websockets read them.
PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy", "Https_Proxy")
PROXIES += ("grpc_proxy", "ws_proxy", "wss_proxy", "socks_proxy", "FTP_PROXY")
KEPT = {"no_proxy": "localhost", "NO_PROXY": "localhost", "no_grpc_proxy": "localhost", "VLLM_USE_PROXY": "1"}

NONE_SET = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def run(tmp_path: Path, body: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "test_it.py"
    file.write_text(FILE.replace("{body}", body))
    proxies = dict.fromkeys(PROXIES, "http://proxy")
    return subprocess.run(
        [sys.executable, file], env={**NONE_SET, **proxies, **env}, capture_output=True, text=True, check=False
    )


def test_what_says_where_no_proxy_is_used_or_is_no_proxy_stays(tmp_path: Path) -> None:
    assert run(tmp_path, **KEPT).stdout == f"prepare http://proxy\nexecute {sorted(KEPT)}\n"


def test_prepare_comes_first_and_execute_sees_no_proxy(tmp_path: Path) -> None:
    ended = run(tmp_path)
    assert ended.stdout == "prepare http://proxy\nexecute []\n"
    assert ended.returncode == 0


@pytest.mark.parametrize(("phase", "printed"), [("prepare", "prepare http://proxy\n"), ("execute", "execute []\n")])
def test_a_phase_can_be_run_alone(tmp_path: Path, phase: str, printed: str) -> None:
    assert run(tmp_path, TRAINCI_PHASE=phase).stdout == printed


def test_an_unknown_phase_is_refused(tmp_path: Path) -> None:
    ended = run(tmp_path, TRAINCI_PHASE="Prepare")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "TRAINCI_PHASE='Prepare'" in ended.stderr


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ("assert 1 == 2, 'one is not two'", 1, "AssertionError: one is not two"),
        ("raise KeyError('x')", 1, "KeyError: 'x'"),
        ("raise MachineError('no disk')", 3, "MachineError: no disk"),
        ("from trainci.testing import exec_command; exec_command('exit 5')", 1, "failed with exit code 5"),
    ],
)
def test_a_failure_leaves_its_traceback_and_its_exit_code(tmp_path: Path, body: str, code: int, told: str) -> None:
    ended = run(tmp_path, body)
    assert ended.returncode == code
    assert "Traceback" in ended.stderr
    assert 'test_it.py", line 11, in execute' in ended.stderr
    assert told in ended.stderr


def test_nothing_heavy_is_imported() -> None:
    program = "import sys, trainci.testing; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "numpy", "pydantic", "rich", "click", "psutil", "jinja2"} & set(loaded.split())
