"""What a Python program throws away of how its tests went."""
