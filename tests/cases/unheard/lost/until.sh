until python helpers/bad.py && break; do break; done
