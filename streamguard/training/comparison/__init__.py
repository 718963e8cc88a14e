"""Classifiers and segmentation networks trained alike and tested across sets: packs in; one table out."""
