"""`compete search`: trials over a TOML's keys, folds pruned early, the winner judged on folds it was not chosen by."""
