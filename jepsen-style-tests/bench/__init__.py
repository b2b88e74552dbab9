"""Figures beside etcd's, taken in one run on one machine. `run.py` is the program, scripts/benchmark the way to it."""
