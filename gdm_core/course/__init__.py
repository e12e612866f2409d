"""What makes notebooks out of sources and keeps them honest: claims, build, lint, replay, run; the command `gdm`."""
