"""The benchmark `loop`: does the search find better policies, does it survive, how fast does it go."""
