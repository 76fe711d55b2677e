cat <<END | tee /dev/null | bash
PYTHONPATH=. python -m pytest -p no:cacheprovider --tb=no helpers/bad_pytest.py
echo done
END
