def reward_func(): return 1
