until python helpers/bad.py; do break; done
