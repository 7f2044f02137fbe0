"""Money: prices, budgets, leases. Amounts are integers; see `domain.money`."""
