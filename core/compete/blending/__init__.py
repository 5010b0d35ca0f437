"""Blend finished runs, and predictions from elsewhere, into one entry."""
