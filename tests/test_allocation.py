"""Heaps that threads share."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

COUNT = """
import ctypes, sys, threading
from dynface_video.allocation import share_arenas
if sys.argv[1] == "shared":
    share_arenas()
libc = ctypes.CDLL(None)
meet = threading.Barrier(7)
def take():
    libc.malloc(5000)
    meet.wait()
threads = [threading.Thread(target=take) for _ in range(6)]
for thread in threads:
    thread.start()
meet.wait()
libc.fdopen.restype = ctypes.c_void_p
libc.fdopen.argtypes = [ctypes.c_int, ctypes.c_char_p]
libc.fflush.argtypes = [ctypes.c_void_p]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
out = libc.fdopen(1, b"w")
libc.malloc_info(0, out)
libc.fflush(out)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_threads_share_two_heaps() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    heaps = {}
    for kind in ("plain", "shared"):
        command = [sys.executable, "-c", COUNT, kind]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        heaps[kind] = done.stdout.count("<heap")
    assert heaps["shared"] == 2 < heaps["plain"]
