"""A load test that an engineer can trust: calls arrive by themselves at a given rate, and each is counted from the time when it was due.

workload   what is called, how often, and what happens meanwhile (a TOML file)
generator  one process that makes the calls
calls      the requests of a video site, with videos chosen by popularity
steps      what happens to the system meanwhile: scale, kill, restart, stop the database
run        the generators together, second by second
results    the figures of a run
live       the view on the terminal
report     the folder of results: JSON, histograms and one HTML page
page       the report's HTML page
chart      one chart of it
compare    two reports side by side
"""
