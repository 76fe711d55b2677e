set -e
! python helpers/bad.py
python helpers/good_pytest.py
