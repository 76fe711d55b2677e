cat <<END | tee /dev/null | bash
cat <<SAID
[==========] Running 1 test from 1 test suite.
[ RUN      ] Loss.falls
[  FAILED  ] Loss.falls (0 ms)
[==========] 1 test from 1 test suite ran. (0 ms total)
[  PASSED  ] 0 tests.
[  FAILED  ] 1 test, listed below:
[  FAILED  ] Loss.falls
SAID
echo done
END
