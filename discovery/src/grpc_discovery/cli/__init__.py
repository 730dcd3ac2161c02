"""The command line: who is there, what comes and goes, a call, a wait, an entry kept for another program."""
