cat <<END | tee /dev/null | bash
python -m pytest -k nothing_of_that_name helpers/good_pytest.py
echo done
END
