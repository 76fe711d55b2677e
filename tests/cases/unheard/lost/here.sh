cat <<END | tee /dev/null | bash
python -m pytest helpers/bad_pytest.py
echo done
END
