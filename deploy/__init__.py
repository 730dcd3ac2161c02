"""Containers: what the image starts and how its health is asked, and the trial of every compose file (`make containers`)."""
