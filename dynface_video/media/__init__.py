"""Video files: probe, read with exact time, colour, shots, write, assemble. Knows nothing of faces or models."""
