"""What a shell script, or a file of a tool that runs shell lines, throws away of how its tests went."""
