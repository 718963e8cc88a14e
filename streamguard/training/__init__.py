"""From pairs and self-blended fakes to weights, and from records to figures."""
