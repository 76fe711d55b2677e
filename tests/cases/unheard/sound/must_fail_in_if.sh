if python helpers/bad.py; then exit 1; fi
