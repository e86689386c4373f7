"""What other systems drop: its contract, how it enters the lake, the adapters for outside shapes and the simulated company."""
