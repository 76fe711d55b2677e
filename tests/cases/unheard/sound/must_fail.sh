! python helpers/bad.py
