rc=0
python helpers/bad.py || rc=$?
case $rc in
  0) echo "passed unexpectedly"; exit 1 ;;
  *) echo ok ;;
esac
