"""The whole suite on one machine, with failures to order."""
