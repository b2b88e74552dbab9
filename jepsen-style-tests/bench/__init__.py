"""Figures beside etcd's, taken in one run on one machine. `compare.py` is the program."""
