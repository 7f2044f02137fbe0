"""The benchmark `serving`: the gateway under load, beside LiteLLM's proxy, and under faults."""
