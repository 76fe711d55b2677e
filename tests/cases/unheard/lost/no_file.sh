bash <<END
python -m pytest helpers/none.py
echo done
END
