"""The tests. What several of them share is imported from here."""
