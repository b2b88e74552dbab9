"""Disks that fill up, freeze and hang under real members. `run.py` is the program."""
