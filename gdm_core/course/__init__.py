"""What makes notebooks out of sources and keeps them honest: claims, build, lint, replay, run; the command `gdm`."""

import sys

# jsonschema, and with it nbformat, compiles a grammar of international web addresses as it is imported, where one is
# installed: a second of every command, for a check that none of our schemas asks for.
sys.modules.setdefault("rfc3987_syntax", None)
