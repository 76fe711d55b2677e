bash <<END
python -m pytest helpers/ends.py
echo done
END
