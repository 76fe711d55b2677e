python -m pytest -s helpers/again/good_pytest.py
