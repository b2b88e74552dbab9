"""What no good client sends: each must be refused or borne, and nobody else may notice. `run.py` is the program."""
