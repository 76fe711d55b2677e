cat <<END | bash
python -m pytest helpers/ends.py
echo done
END
