"""Training from pairs and self-blended fakes to weights, and evaluation from records to figures."""
