# unseen
