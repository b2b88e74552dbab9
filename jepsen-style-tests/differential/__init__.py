"""The same commands and requests against two clusters, whose answers must be alike, ids aside.

`cases` holds what is asked, one file a topic; `steps` is the language that they are written in; `side` is one of the
two clusters; `normalise` takes out of the answers what differs by nature; `run.py` is the program.
"""
