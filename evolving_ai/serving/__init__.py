"""The platform on Ray Serve: deployments, HTTP, and what starts and stops them."""
