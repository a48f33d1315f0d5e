"""Child processes: start, mount namespace, output, time-out, kill the whole tree."""
