"""What is learned: the problems and their reward, and the tiny models and data that are built for them."""
