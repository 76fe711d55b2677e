cat <<END | bash
python -m unittest helpers/bad_unittest.py
echo done
END
