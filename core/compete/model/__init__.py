"""A network, its head, its loss and the device that it runs on."""
