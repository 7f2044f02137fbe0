"""What Ray Serve runs: thin classes that build a plain object, forward to it, and end it."""
