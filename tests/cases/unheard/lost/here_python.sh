set -e
cat <<END | bash
python - <<PYTHON
assert 1 == 2
PYTHON
echo done
END
