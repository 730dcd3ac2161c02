"""Trials by fault: for each promise of docs/advertising.md the fault, done for real, and what was measured."""
