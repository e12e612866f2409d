"""Deep generative models: the small library behind the lectures.

Data flows one way: `data` -> `models` -> `train` -> `two_sample`, `metrics` -> `plotting`, `widgets` -> `explorers`.
"""

__version__ = "0.1.0"
