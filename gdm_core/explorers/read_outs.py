"""What read-outs say in the same way everywhere: numbers with a true minus, and where a latent lies."""

from gdm_core.widgets import where_is
from gdm_core.widgets.honest import minus


def said(value: float, digits: int = 2) -> str:
    """A number with so many decimals.

    >>> said(-1.304), said(-0.001)
    ('−1.30', '0.00')
    """
    return minus(f"{round(value, digits) + 0.0:.{digits}f}")


def parted(whole: float, part: float, digits: int = 2) -> tuple[str, str, str]:
    """A whole, a part of it and the rest, rounded so that they add up as they are printed.

    >>> parted(5.076, 0.084)
    ('5.08', '0.08', '5.00')
    """
    whole, part = round(whole, digits), round(part, digits)
    return said(whole, digits), said(part, digits), said(whole - part, digits)


def place(z, warning: str = "") -> str:
    """Density and radius of z; where the prior lies too, once there is a warning to understand.

    >>> place([3.0, 0.0])
    'log p(z) = −6.34 nats · radius 3.00'
    """
    parts = where_is(z).split(" · ")
    return " · ".join(parts if warning else parts[:2])
