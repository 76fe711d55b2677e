from slime.rollout import generate
