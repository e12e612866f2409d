"""Where the look of all pages lies: the studio's, and those that are exported."""

from pathlib import Path

SHARE = Path(__file__).parent / "share"  # a folder of Jupyter data: $JUPYTER_PATH leads Voila to the template in it
TEMPLATE = SHARE / "voila" / "templates" / "gdm"
