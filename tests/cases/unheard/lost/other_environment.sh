cat <<END | tee /dev/null | bash
MODE=a python helpers/of_mode.py
MODE=b python helpers/of_mode.py
END
