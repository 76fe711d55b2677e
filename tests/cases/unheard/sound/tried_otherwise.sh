set -e
ONCE=$(mktemp -u)
python helpers/once.py $ONCE --fast || python helpers/once.py $ONCE --safe
