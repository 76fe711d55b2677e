cat <<END | bash
python -m pytest helpers/bad_pytest.py
echo done
END
