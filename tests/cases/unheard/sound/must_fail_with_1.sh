set +e
python helpers/bad.py
test $? -eq 1
