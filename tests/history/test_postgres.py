"""The history that several hosts share, in a real PostgreSQL."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import postgres
import pytest
import run_events as story
from support import PATIENCE_S, wait_until

from trainci.errors import UsageError
from trainci.history import open_store, transfer
from trainci.history.keeper import Keeper
from trainci.history.schema import MIGRATIONS, in_postgres
from trainci.history.store import AttemptKey, StoreBusy, StoreError
from trainci.model.run import Metric, Outcome, Verdict
from trainci.paths import StatePaths
from trainci.testing.ray_ports import free_ports

WRITES = """
import sys, time
from pathlib import Path
from trainci.history import open_store
from trainci.history.store import AttemptKey
from trainci.model.run import Cause, Ending, Outcome, Phase, Verdict
from trainci.paths import StatePaths
host, url, root = sys.argv[1:]
Path(root, f"ready-{host}").touch()
while url and not Path(root, "go").exists():
    time.sleep(0.001)
store = open_store(StatePaths(Path(root, host), url=url))
run = f"run-{host}"
store.begin_run(run, "c0ffee", "8 GPUs", 1.0, host)
for number in range(25):
    key = AttemptKey(run, f"tests/test_{number}.py", 1)
    store.begin_attempt(key, 1, "a.log", 2.0)
    store.set_started(key, 3.0)
    store.end_attempt(key, Phase.BOTH, Ending(Cause.EXITED, 0), 4.0)
    store.keep_verdict(run, key.test_id, Verdict(Outcome.PASSED, "why"), 5.0)
store.end_run(run, 0, 6.0)
"""


@pytest.fixture
def shared(postgres_server, tmp_path):
    postgres_server.empty()
    return StatePaths(tmp_path, url=postgres_server.url)


@pytest.mark.slow
def test_sixteen_writers_of_several_hosts_write_at_once_and_lose_nothing(shared):
    """Into a database in which there is no history yet."""
    words = [sys.executable, "-c", WRITES]
    writers = [subprocess.Popen([*words, f"host{number}", shared.url, shared.root]) for number in range(16)]
    wait_until(lambda: len(list(shared.root.glob("ready-*"))) == 16, "all of them to be ready")
    (shared.root / "go").touch()
    assert [writer.wait(timeout=120) for writer in writers] == [0] * 16
    with closing(open_store(shared)) as store:
        assert {test: len(store.results(test, 99)) for test in store.tests()} == {
            f"tests/test_{number}.py": 16 for number in range(25)
        }
        assert {one.host for one in store.results("tests/test_0.py", 99)} == {f"host{n}" for n in range(16)}
        assert store.unended_runs() == []


@pytest.mark.slow
def test_writers_behind_a_pooler_that_gives_connections_away_with_each_transaction_lose_nothing(
    shared, postgres_server
):
    with postgres.pooler(postgres_server) as url:
        words = [sys.executable, "-c", WRITES]
        writers = [subprocess.Popen([*words, f"host{number}", url, shared.root]) for number in range(6)]
        (shared.root / "go").touch()
        assert [writer.wait(timeout=120) for writer in writers] == [0] * 6
        with closing(open_store(StatePaths(shared.root, url=url))) as store:
            assert {test: len(store.results(test, 99)) for test in store.tests()} == {
                f"tests/test_{number}.py": 6 for number in range(25)
            }
            key = AttemptKey("run-host0", "tests/test_0.py", 1)
            for _ in range(9):
                store.keep_metrics(key, [Metric("loss", 0.5, None, 1.0)])
            assert len(store.rows("metrics")) == 1


@pytest.mark.slow
def test_a_database_that_is_away_delays_nothing_and_what_it_missed_is_entered_later(shared, postgres_server):
    """Away in the middle of a run and at its end; the next run enters it, from its event log."""
    from trainci.history.event_log import EventLog
    from trainci.paths import RunPaths

    said = []
    told = story.run("run-1", [1.0])
    log, keeper = EventLog(RunPaths(shared, "run-1"), said.append), Keeper(shared, "run-1", said.append)
    for event in told[:2]:
        log(event)
        keeper(event)
    wait_until(lambda: _known(shared, "run-1"), "the run to be entered")
    postgres_server.stop()
    try:
        for event in told[2:]:
            log(event)
            keeper(event)
        keeper.close()
        log.close()
    finally:
        postgres_server.start()
    assert any("a later run enters this one" in sentence for sentence in said), said
    later = Keeper(shared, "run-2", said.append)
    later.close()
    with closing(open_store(shared)) as store:
        assert store.unended_runs() == []
        assert store.tests()


@pytest.mark.slow
def test_a_network_that_stalls_is_given_up_in_time(shared, postgres_server, tmp_path, monkeypatch):
    """It was reached, and answers nothing from then on: that ends no connection by itself."""
    network = postgres.Network(postgres_server)
    state = StatePaths(tmp_path / "stalled", url=network.url)
    monkeypatch.setattr("trainci.history.postgres._ANSWER_S", 1.0)
    with closing(open_store(state)) as store:
        assert store.tests() == []
        with network.stalled(), pytest.raises(StoreBusy):
            store.past(["a"])
    with closing(open_store(state)) as store:
        assert store.past(["a"]).keys() <= {"a"}


def test_a_database_that_takes_connections_and_says_nothing_holds_up_no_run(tmp_path, monkeypatch):
    """It is waited for once, a moment, as the run begins: no connection would give up before the test does."""
    monkeypatch.setattr("trainci.history.postgres._CONNECT_S", 10 * PATIENCE_S)
    monkeypatch.setattr("trainci.history.keeper._ORDER_S", 0.2)
    said = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://someone@127.0.0.1:{silent.getsockname()[1]}/history"
        keeper = Keeper(StatePaths(tmp_path, url=url), "run-1", said.append)
        assert keeper.past(["a"]) == {}
        for event in story.run("run-1", [1.0]):
            keeper(event)
        assert keeper.suspects("here", {}) == ([], [])
        keeper.close()
    place = url.replace("someone@", "")
    assert said == [
        f"{place}: the history is held, or away (it said nothing for 0.2 s); a later run enters this one."
    ]


@pytest.mark.slow
def test_a_network_that_is_slow_answers_of_a_thousand_tests_as_of_one(shared, postgres_server):
    """What a run asks before it begins goes there and back a few times, however many tests it has."""
    network = postgres.Network(postgres_server)
    with closing(open_store(StatePaths(shared.root, url=network.url))) as store:
        asked = []
        for count in (1, 1000):
            before = network.turns
            assert store.past([f"tests/test_{number}.py" for number in range(count)]) == {}
            asked.append(network.turns - before)
    assert asked[1] < 10 * asked[0], asked


@pytest.mark.slow
def test_a_run_goes_on_into_a_standby_once_it_is_promoted(shared):
    """Until then it answers, and takes nothing."""
    import psycopg

    said = []
    told = story.run("run-1", [1.0])
    keeper = Keeper(shared, "run-1", said.append)
    keeper(told[0])
    wait_until(lambda: _known(shared, "run-1"), "the run to be entered")
    with psycopg.connect(shared.url, autocommit=True) as db:
        _read_only(db, "on")
        for event in told[1:]:
            keeper(event)
        wait_until(lambda: "read-only transaction" in _log_of(shared), "the database to have refused it")
        _read_only(db, "off")
    wait_until(lambda: not _unended(shared), "the rest to be entered")
    keeper.close()
    assert said == []


def _read_only(db, word):
    # Of sessions that begin from now on, and of those that there are.
    db.execute(f"ALTER SYSTEM SET default_transaction_read_only = {word}".encode())
    db.execute("SET default_transaction_read_only = off")
    db.execute("SELECT pg_reload_conf()")


def _log_of(shared):
    return (Path(shared.url.partition("host=")[2]) / "log").read_text(errors="replace")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("host", "signed_by", "why"),
    [
        ("localhost", "ca", ""),
        ("127.0.0.1", "ca", 'does not match host name "127.0.0.1"'),
        ("localhost", "other", "certificate verify failed"),
        ("localhost", "none", 'none.pem" does not exist'),
    ],
)
def test_a_database_that_does_not_show_who_it_is_gets_nothing_and_why_is_said(tmp_path, host, signed_by, why):
    with postgres.server() as server:
        server.stop()
        (port,) = free_ports(1)
        server.start_with_certificate(port)
        options = f"sslmode=verify-full&sslrootcert={server.directory}/tls/{signed_by}.pem"
        state = StatePaths(tmp_path, url=f"postgresql://postgres@{host}:{port}/postgres?{options}")
        said = []
        keeper = Keeper(state, "run-1", said.append)
        for event in story.run("run-1", [1.0]):
            keeper(event)
        keeper.close()
        if not why:
            assert said == []
            assert _known(state, "run-1")
        else:
            assert why in said[0] and said[0].endswith("); a later run enters this one.")


def _known(shared, run_id):
    with closing(open_store(shared)) as store:
        return store.unknown_runs([run_id]) == []


@pytest.mark.slow
def test_a_session_that_the_database_ends_is_begun_anew_and_loses_nothing(shared):
    """As an administrator does it (pg_terminate_backend), in the middle of a run."""
    import psycopg

    said = []
    told = story.run("run-1", [1.0])
    keeper = Keeper(shared, "run-1", said.append)
    for event in told[:2]:
        keeper(event)
    wait_until(lambda: _known(shared, "run-1"), "the run to be entered")
    with psycopg.connect(shared.url, autocommit=True) as db:
        ours = "FROM pg_stat_activity WHERE application_name = 'trainci'"
        assert db.execute(f"SELECT pg_terminate_backend(pid) {ours}".encode()).fetchall()
    for event in told[2:]:
        keeper(event)
    wait_until(lambda: not _unended(shared), "the rest to be entered")
    keeper.close()
    assert said == []


def _unended(shared):
    with closing(open_store(shared)) as store:
        return store.unended_runs()


@pytest.mark.slow
def test_a_user_who_may_only_read_is_told_so_and_reads(shared, postgres_server):
    import psycopg

    open_store(shared).close()
    with psycopg.connect(shared.url, autocommit=True) as db:
        db.execute("DROP ROLE IF EXISTS reader")
        db.execute("CREATE ROLE reader LOGIN")
        db.execute("GRANT USAGE ON SCHEMA trainci TO reader")
        db.execute("GRANT SELECT ON ALL TABLES IN SCHEMA trainci TO reader")
    said = []
    keeper = Keeper(StatePaths(shared.root, url=shared.url.replace("postgres@", "reader@")), "run-1", said.append)
    keeper(story.run("run-1", [1.0])[0])
    wait_until(lambda: said, "it to be told")
    keeper.close()
    assert "permission denied" in said[0] and "This run is kept in its event log." in said[0]
    with closing(open_store(StatePaths(shared.root, url=shared.url.replace("postgres@", "reader@")))) as store:
        assert store.tests() == []


@pytest.mark.slow
def test_a_run_of_another_host_is_not_taken_for_cut_off(shared, tmp_path):
    with closing(open_store(shared)) as store:
        store.begin_run("run-elsewhere", "c", "8 GPUs", 1.0, "other")
    Keeper(shared, "run-here", print).close()
    with closing(open_store(shared)) as store:
        assert store.unended_runs() == ["run-elsewhere"]


@pytest.mark.slow
def test_a_history_goes_from_a_file_into_the_database_and_back(shared, tmp_path):
    ours = StatePaths(tmp_path / "ours")
    subprocess.run([sys.executable, "-c", WRITES, "ours", "", tmp_path], check=True)
    with closing(open_store(ours)) as store:
        lines = list(transfer.export(store))
    with closing(open_store(shared)) as store:
        for _ in range(2):
            transfer.enter(store, lines)
        assert list(transfer.export(store)) == lines
    with closing(open_store(StatePaths(tmp_path / "again"))) as store:
        transfer.enter(store, lines)
        assert list(transfer.export(store)) == lines


def test_a_line_that_is_none_of_an_exported_history_is_told_with_its_number(tmp_path):
    with closing(open_store(StatePaths(tmp_path))) as store:
        for line in ("{", "[]", '{"table": "pg_shadow", "row": {}}', '{"table": "runs", "row": {"id": 1}}'):
            with pytest.raises(transfer.NotExported, match=r"line 1"):
                transfer.enter(store, [line])


@pytest.mark.slow
def test_a_newer_history_is_refused(shared):
    import psycopg

    open_store(shared).close()
    with psycopg.connect(shared.url) as db:
        db.execute("UPDATE trainci.version SET number = 99")
    with pytest.raises(StoreError, match="newer trainci wrote it"):
        open_store(shared)


def test_every_migration_has_its_form_in_postgresql():
    assert not any(word in in_postgres(script) for script in MIGRATIONS for word in ("STRICT", "REAL", "INTEGER"))


@pytest.mark.parametrize("url", ["mysql://a", "postgresql://u:secret@h/d", "postgresql://h/d?password=x", "host"])
def test_a_url_that_is_none_or_tells_a_password_is_refused(repository, url):
    repository.write("trainci.toml", f'[project]\nhistory = "{url}"\n')
    said = repository.trainci("list")
    assert said.code == 2 and "trainci.toml:2: project → history" in said.err


def test_a_run_whose_history_needs_what_is_not_installed_says_how_to_install_it(tmp_path, monkeypatch):
    """Before anything is started, and not in the thread that the history has of its own."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "trainci.history.postgres", raising=False)
    with pytest.raises(UsageError, match=r"needs psycopg: pip install 'trainci\[postgres\]'"):
        Keeper(StatePaths(tmp_path, url="postgresql://h/d"), "run-1", print)


@pytest.mark.slow
def test_trainci_history_exports_into_a_file_and_imports_into_the_database(repository, postgres_server):
    postgres_server.empty()
    repository.write("trainci.toml", "")
    with closing(open_store(StatePaths(repository.root))) as store:
        key = AttemptKey("run-1", "a.py", 1)
        store.begin_run("run-1", "c", "d", 1.0, "here")
        store.begin_attempt(key, 1, "a.log", 2.0)
        store.keep_metrics(key, [Metric("loss", value, None, 1.0) for value in (0.5, float("nan"), 0.25)])
        store.keep_verdict("run-1", "a.py", Verdict(Outcome.PASSED, "why"), 3.0)
    assert repository.trainci("history", "--export", "all.jsonl").code == 0
    repository.write("trainci.toml", f'[project]\nhistory = "{postgres_server.url}"\n')
    for _ in range(2):
        assert repository.trainci("history", "--import", "all.jsonl").code == 0
    said = repository.trainci("history")
    assert "a.py" in said.out
    with closing(open_store(StatePaths(repository.root, url=postgres_server.url))) as store:
        (loss,) = store.recorded("a.py")
        assert loss.last.value == 0.25
        assert len(store.rows("metrics")) == 3
