"""Jobs: a video analysed, restored in segments and joined again; resumable, here or on Ray."""
