if python -c "assert 1 > 2, 'no GPU'"; then
  exit 1
fi
python -c "assert 0, 'no MPI'" || echo "without MPI"
pytest -q helpers/good_pytest.py
