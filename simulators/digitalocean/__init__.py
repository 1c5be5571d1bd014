"""The pretend DigitalOcean API v2."""

from simulators.digitalocean.face import DigitalOceanFace

__all__ = ["DigitalOceanFace"]
