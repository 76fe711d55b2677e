printf '%s\n' '[==========] Running 1 test.' '[  FAILED  ] 1 test, listed below:' '[  FAILED  ] Loss.falls' 'again:'
printf '%s\n' '[==========] Running 1 test.' '[       OK ] Loss.falls (0 ms)' '[  PASSED  ] 1 test.'
