"""The whole loop in one command, and what its statistics promise, measured."""
