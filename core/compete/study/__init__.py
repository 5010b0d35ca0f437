"""What `compete inspect` shows: a network's modules and parameters, what a weights file holds, a batch of images."""
