set -e
export ONCE=$(mktemp -u) PYTHONPATH=.
python -m pytest helpers/once_pytest.py || python -m pytest --lf helpers/once_pytest.py
