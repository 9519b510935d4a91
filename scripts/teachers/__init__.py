"""Pre-trained networks that losses and measures read faces with; their weights are never shipped."""
