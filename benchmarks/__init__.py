"""What our calls cost, beside a server that does the same reads and writes and nothing else."""
