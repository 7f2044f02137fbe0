"""What `evolving-ai doctor` does: checks of this machine and of a home, and scenarios against a running platform."""
