set -e
set +e
python helpers/bad.py
code=$?
set -e
if [ $code -eq 0 ]; then exit 1; fi
python helpers/good_pytest.py
