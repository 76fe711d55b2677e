print("sane")
