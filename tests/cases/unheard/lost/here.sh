bash <<END
python -m pytest helpers/bad_pytest.py
echo done
END
