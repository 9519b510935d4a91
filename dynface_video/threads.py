"""How many threads the networks use: set by every entry point (videos, pictures, crops) in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import torch


@contextmanager
def network_threads(count: int) -> Iterator[None]:
    """Set the number of threads of PyTorch and OpenCV inside the block, and restore the previous one afterwards.

    The kernels that oneDNN chooses, and with them the last bits of a result, depend on this number. On busy cores,
    more than one thread can be ten times slower: they wait for each other.

    Args:
        count: Threads of each library, at least 1.
    """
    before, before_cv2 = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        cv2.setNumThreads(before_cv2)
