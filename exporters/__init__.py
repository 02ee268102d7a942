"""One daemon per node: /metrics with the host, the board and what runs on it."""
