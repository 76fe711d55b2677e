"""What a node of a Ray cluster does before it starts Ray, and what is made of a server that is not there yet."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from trainci.errors import EXIT_MACHINE
from trainci.testing.ray_cluster import answer


@pytest.mark.parametrize("left", ["a folder that all may write", "a link to one of ours"])
def test_a_node_writes_no_token_into_a_folder_that_others_have_put_where_it_is_to_be(
    tmp_path: Path, left: str
) -> None:
    """Its name is known to all users of the first node before another node makes it."""
    directory, ours = tmp_path / "ray-directory", tmp_path / "ours"
    ours.mkdir(mode=0o700)
    if left == "a link to one of ours":
        directory.symlink_to(ours)
    else:
        directory.mkdir()
        directory.chmod(0o777)
    command = [sys.executable, "-m", "trainci.testing.ray_node", "127.0.0.1:9", str(directory), "0"]
    told = {"TRAINCI_NODES": "a,b", "TRAINCI_NODE_RANK": "1", "RAY_AUTH_TOKEN": "secret"}
    with subprocess.Popen(command, env={**os.environ, **told}, stderr=subprocess.PIPE, text=True) as node:
        try:
            _, said = node.communicate(timeout=60)
        finally:
            node.terminate()
    assert list(tmp_path.rglob("auth_token")) == []
    assert node.returncode == EXIT_MACHINE
    assert f"{directory} is there, and not this user's alone" in said


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", None),
        (b"what?\r\n", None),
        (b"", None),
        (b"HTTP/1.1 503 Not yet\r\n\r\n", None),
    ],
)
def test_a_server_that_does_not_answer_to_the_end_has_not_answered(said: bytes, understood: bytes | None) -> None:
    """It may end in the middle of a word, which is no reason for ours to."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            link, _ = server.accept()
            with link:
                link.recv(4096)
                link.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        assert answer(f"http://127.0.0.1:{server.getsockname()[1]}/", "token") == understood
        thread.join(60)
