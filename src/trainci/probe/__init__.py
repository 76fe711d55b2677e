"""What rides in the processes of a job: run by its file, it imports nothing but Python's own library."""
