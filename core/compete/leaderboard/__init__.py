"""From a CV to the leaderboard: submit once, wait for the score, compare runs and submissions."""
