cat <<END | bash
ATTEMPT=1 MODE=a python helpers/of_attempt.py
ATTEMPT=2 MODE=a python helpers/of_attempt.py
END
