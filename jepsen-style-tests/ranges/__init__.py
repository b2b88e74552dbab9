"""Large ranges of real members, and what they cost in memory. `run.py` is the program."""
