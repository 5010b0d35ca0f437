"""A time budget: epochs, folds, seeds and variants so that a checked submission exists in time."""
