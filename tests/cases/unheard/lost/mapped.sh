mapfile -t lines < <(python -m pytest helpers/bad_pytest.py)
echo ${#lines[@]}
