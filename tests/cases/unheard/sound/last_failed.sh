set -e
export ONCE=$(mktemp -u)
python -m pytest helpers/once_pytest.py || python -m pytest --lf helpers/once_pytest.py
