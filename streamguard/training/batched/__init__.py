"""Fakes and views of a whole batch at once, by torch, on the device that trains.

The host only draws parameters (numpy, by seed and step) and gathers raw crops; see `sampler.BatchedSampler`.
"""
