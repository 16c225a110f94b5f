"""Faults in the midst of a real DVC run, and what is there when it has been run again."""
