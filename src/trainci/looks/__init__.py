"""What the processes of a job are doing, seen from outside: stacks, collectives, files that they write."""
