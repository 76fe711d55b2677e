cat <<END | tee /dev/null | bash
python -I -m unittest discover -s helpers -p bad_unittest.py
echo done
END
