"""What the host is and does, below everything else: devices, processes, control groups, small files."""
