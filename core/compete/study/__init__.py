"""What `compete inspect` and `compete lr` show: modules, parameters, weights files, a batch of images, learning rates."""
