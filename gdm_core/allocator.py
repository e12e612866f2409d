"""Memory that is kept for the next tensor.

glibc gives blocks of 128 kB and more back to the system when they are freed, and gets them again page by page, each
filled with zeros.  A step of training frees and takes all of its activations: for a convolutional VAE on pictures of
28 x 28 that was a sixth of its time.
"""

import ctypes
import sys

TRIM, MMAP = -1, -3  # of glibc's malloc.h: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
KEPT, OWN_PAGES = 64 * 2**20, 32 * 2**20  # bytes: free at the end of the heap; a block beyond has pages of its own


def keep_freed_memory() -> bool:
    """Tell glibc, for this process and its threads; False where there is another allocator."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and all([mallopt(TRIM, KEPT), mallopt(MMAP, OWN_PAGES)])
