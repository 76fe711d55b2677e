out=$(python helpers/bad.py 2>&1 || true)
echo "$out"
echo "$out" | grep -q "x is wrong"
