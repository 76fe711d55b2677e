python helpers/bad.py && exit 1 || true
