"""Features of a frozen backbone: computed once per image, stored, and read in place of the images."""
