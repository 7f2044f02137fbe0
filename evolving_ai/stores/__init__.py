"""Durable state: ports, and what implements them. Knows nothing of security or of how state is used."""
