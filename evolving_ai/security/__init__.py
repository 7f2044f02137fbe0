"""Who may act: keys and roles."""
