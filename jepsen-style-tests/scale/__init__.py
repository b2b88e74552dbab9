"""Large stores, constant churn and many watchers on a real member. `run.py` is the program."""
