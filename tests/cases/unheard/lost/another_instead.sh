python -m pytest helpers/bad_pytest.py || python -m pytest helpers/good_pytest.py
