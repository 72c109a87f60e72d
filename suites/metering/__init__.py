"""How energy is metered: in windows of seconds, by counters where there are some and by a model where there
are none.

    meter.py      what a meter is, and several as one
    counting.py   a meter over this machine's energy counters
    modelling.py  a meter over codecarbon, for what has no counter
    opening.py    which of the two meters what
    certainty.py  how far each method may be off, and who says so
    windows.py    the windows: interleaved, with idle ones around them and load from outside watched
    rows.py       windows as the rows of an arm
    arms.py       all arms of a step, ready to run, as rows
"""
