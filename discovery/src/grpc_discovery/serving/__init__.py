"""The server's side: a process's life, and what stands between the wire and every handler."""
