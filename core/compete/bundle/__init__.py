"""Everything that predicts without a network, in one folder or file; entries to code competitions."""
