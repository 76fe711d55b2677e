import os, pytest, subprocess, sys
def test_dies():
    assert subprocess.run([sys.executable, 'helpers/bad.py']).returncode
def test_inner():
    env = {k: v for k, v in os.environ.items() if not k.startswith('PYTEST')}
    assert subprocess.run([sys.executable, '-m', 'pytest', 'helpers/bad_pytest.py'], env=env).returncode == 1
    assert pytest.main(['helpers/bad_pytest.py']) == 1
if __name__ == "__main__":
    sys.exit(pytest.main(['-s', __file__]))
