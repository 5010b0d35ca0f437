"""What `compete inspect` and `compete lr` show: modules, parameters, weights, a batch of images, learning rates."""
