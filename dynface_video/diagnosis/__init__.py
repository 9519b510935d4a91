"""What this machine has for restoring, and what is in the way: the work of `dynface-video doctor`."""
