export ONCE=$(mktemp -u)
for i in 1 2; do python -m pytest helpers/once_pytest.py && exit 0; done
exit 1
