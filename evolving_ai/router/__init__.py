"""The request path: from a request that somebody makes to the answer of a target. No Ray, no deciding, no storing."""
