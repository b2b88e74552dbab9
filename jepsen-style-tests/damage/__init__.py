"""Damage to the tables of real members. `run.py` is the program."""
