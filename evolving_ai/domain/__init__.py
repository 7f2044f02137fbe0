"""The nouns: what the system talks about. Pure values, no third-party imports, no I/O."""
