cat <<END | tee /dev/null | bash
python -m unittest helpers/bad_unittest.py
echo done
END
