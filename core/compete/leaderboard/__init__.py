"""From a CV to the leaderboard: submit, wait for the score, and the ledger of every run and submission."""
