print("runs them")
