"""The client that is awaited: the source of truth. `sdk.synchronous` has the same, file by file, without `await`."""
