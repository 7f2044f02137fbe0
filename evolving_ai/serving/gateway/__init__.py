"""What one gateway replica is made of. Ray is not imported here: a deployment wraps it, a test runs it bare."""
