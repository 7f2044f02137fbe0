"""The client that blocks: the twin of `sdk.asynchronous`, file by file. A test keeps both alike."""
