set -e
bash <<END
python - <<PYTHON
assert 1 == 2
PYTHON
echo done
END
