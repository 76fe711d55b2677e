export ONCE=$(mktemp -u)
for seed in 1 2 3; do python helpers/once.py $ONCE --seed $seed && exit 0; done
exit 1
