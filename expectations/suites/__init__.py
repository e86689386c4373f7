"""One module per area of marts, each a function from the night's context to the checks its mart must pass."""
