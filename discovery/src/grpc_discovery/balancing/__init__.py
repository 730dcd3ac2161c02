"""The caller's side: which instances there are, which of them a call goes to, and when it goes to another."""
