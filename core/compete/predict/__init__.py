"""Predictions: many networks and views in one pass, top-k, files, post-processing."""
