"""The measuring half of an evaluation: records in; figures, tables, reports and calibration out."""
