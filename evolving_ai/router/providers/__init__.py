"""How providers are spoken to, behind the port `router.ports.Provider`."""
