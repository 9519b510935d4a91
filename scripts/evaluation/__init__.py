"""Evaluation on clean faces that are degraded on purpose: data sets, methods, measurements, table, contact sheet."""
