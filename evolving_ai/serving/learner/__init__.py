"""What the decision deployment is made of: the learner that turns outcomes into snapshots. No Ray here."""
