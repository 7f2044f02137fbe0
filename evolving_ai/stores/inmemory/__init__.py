"""State in memory: shipped fakes that pass the same contract suites."""
