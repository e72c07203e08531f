"""What several tests share: models and files made by formula, oracles, and functions that spawned processes run."""
