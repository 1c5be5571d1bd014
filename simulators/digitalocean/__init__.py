"""The pretend DigitalOcean API v2."""

from simulators.digitalocean.http_api import DigitalOceanApi

__all__ = ["DigitalOceanApi"]
