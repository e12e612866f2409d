"""Deep generative models: the small library behind the lectures.

Data flows one way: `data` -> `models` -> `train` -> `two_sample`, `metrics` -> `plotting`, `widgets` -> `explorers`.
"""

from gdm_core.allocator import keep_freed_memory

__version__ = "0.1.0"
keep_freed_memory()
