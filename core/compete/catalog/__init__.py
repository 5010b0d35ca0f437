"""What there is to start from: the gallery, models, components, and new files of one's own."""
