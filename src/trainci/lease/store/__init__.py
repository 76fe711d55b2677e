"""The lock directory and what its files hold."""
