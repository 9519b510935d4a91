"""Training of every network of the preset in a stated time: data, degradation and loop on one GPU."""
