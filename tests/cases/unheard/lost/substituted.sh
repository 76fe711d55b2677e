while read -r line; do echo "$line"; done < <(python -m pytest helpers/bad_pytest.py)
