"""State in SQLite files."""
