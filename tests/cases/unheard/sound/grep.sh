set -e
python -m pytest helpers/bad_pytest.py > $TMPDIR/said || true
grep -q '1 failed' $TMPDIR/said
