cat <<END | bash
python -m pytest -s helpers/again/bad_pytest.py
echo done
END
