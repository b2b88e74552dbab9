"""kill -9 under load: every acknowledged write must be read back. `run.py` is the program."""
