"""What every layer may use: clock, chance, canonical JSON, identifiers, durable files."""
