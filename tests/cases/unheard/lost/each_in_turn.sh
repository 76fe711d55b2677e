ONCE=$(mktemp -u)
for seed in 1 2; do python helpers/once.py $ONCE --seed $seed; done
