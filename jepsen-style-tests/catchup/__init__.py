"""A member far behind catches up by snapshot over connections that break. `run.py` is the program."""
