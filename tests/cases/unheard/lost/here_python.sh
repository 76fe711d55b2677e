set -e
cat <<END | tee /dev/null | bash
python - <<PYTHON
assert 1 == 2
PYTHON
echo done
END
