"""What a search keeps."""
