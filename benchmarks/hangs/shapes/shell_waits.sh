# expect: process \d+ \(cat config\) is in the kernel's
# A script reads a named pipe that nobody writes to.
# NUM_GPUS = 1
set -e
mkfifo config
echo "stuck $(date +%s.%N)"
cat config
