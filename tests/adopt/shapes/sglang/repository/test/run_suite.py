print("runs what registered itself")
