"""Sizes, regions and images that the pretend DigitalOcean sells. Prices in US dollars."""

from dataclasses import dataclass
from typing import Any

REGIONS = {
    "ams3": "Amsterdam 3",
    "fra1": "Frankfurt 1",
    "nyc3": "New York 3",
    "sgp1": "Singapore 1",
    "lon1": "London 1",
}
IMAGES = {"ubuntu-24-04-x64": 195932981, "ubuntu-22-04-x64": 129211873}
MOST_HOURS = 672
"""A bundled plan is billed for at most this many hours in a month."""


@dataclass(frozen=True)
class CatalogSize:
    """A plan: memory in MB, disk in GB, price in dollars an hour."""

    slug: str
    memory: int
    vcpus: int
    disk: int
    price_hourly: float
    price_monthly: float
    transfer: float
    description: str
    listed: bool = True
    """False for a retired plan: it still runs droplets, but /v2/sizes does not list it."""

    def view(self) -> dict[str, Any]:
        """Return the size as the API shows it."""
        return {
            "slug": self.slug, "memory": self.memory, "vcpus": self.vcpus, "disk": self.disk,
            "transfer": self.transfer, "price_monthly": self.price_monthly,
            "price_hourly": self.price_hourly, "regions": sorted(REGIONS), "available": self.listed,
            "description": self.description, "disk_info": [{"type": "local",
            "size": {"amount": self.disk, "unit": "gib"}}],
        }  # fmt: skip


def _size(
    slug: str,
    gigabytes: int,
    vcpus: int,
    disk: int,
    monthly: float,
    kind: str = "Basic",
    hourly: float | None = None,
) -> CatalogSize:
    listed = not slug.startswith("so1_5-")
    return CatalogSize(
        slug,
        gigabytes * 1024,
        vcpus,
        disk,
        hourly or round(monthly / MOST_HOURS, 5),
        monthly,
        float(vcpus + 1),
        kind,
        listed,
    )


# 0.00743999984115362 is what the API returns for the smallest plan: floats with noise are part of
# the API.
SIZES = {
    size.slug: size
    for size in (
        _size("s-1vcpu-1gb", 1, 1, 25, 5.0, hourly=0.00743999984115362),
        _size("s-1vcpu-2gb", 2, 1, 50, 12.0),
        _size("s-2vcpu-2gb", 2, 2, 60, 18.0),
        _size("s-2vcpu-4gb", 4, 2, 80, 24.0),
        _size("s-4vcpu-8gb", 8, 4, 160, 48.0),
        _size("s-4vcpu-8gb-amd", 8, 4, 160, 56.0, "Premium AMD"),
        _size("s-4vcpu-8gb-intel", 8, 4, 160, 56.0, "Premium Intel"),
        _size("s-4vcpu-16gb-amd", 16, 4, 200, 84.0, "Premium AMD"),
        _size("s-8vcpu-16gb", 16, 8, 320, 96.0),
        _size("s-8vcpu-16gb-amd", 16, 8, 320, 112.0, "Premium AMD"),
        _size("c-4", 8, 4, 50, 84.0, "CPU-Optimized"),
        _size("c-8", 16, 8, 100, 168.0, "CPU-Optimized"),
        _size("g-4vcpu-16gb", 16, 4, 50, 126.0, "General Purpose"),
        _size("g-8vcpu-32gb", 32, 8, 100, 252.0, "General Purpose"),
        _size("m-4vcpu-32gb", 32, 4, 100, 168.0, "Memory-Optimized"),
        _size("so1_5-4vcpu-32gb", 32, 4, 900, 262.0, "Storage-Optimized 1.5x"),
    )
}


def region(slug: str) -> dict[str, Any]:
    """Return a region as the API shows it."""
    features = [
        "private_networking", "backups", "ipv6", "metadata", "install_agent", "storage",
        "image_transfer",
    ]  # fmt: skip
    sizes = [size.slug for size in SIZES.values() if size.listed]
    return {
        "name": REGIONS.get(slug, slug),
        "slug": slug,
        "features": features,
        "available": True,
        "sizes": sizes,
    }


def image(slug: str) -> dict[str, Any]:
    """Return a base image as the API shows it."""
    return {
        "id": IMAGES.get(slug, 195932981), "name": "24.04 (LTS) x64", "type": "base",
        "distribution": "Ubuntu", "slug": slug, "public": True, "regions": sorted(REGIONS),
        "created_at": "2025-06-05T00:00:00Z", "min_disk_size": 10, "size_gigabytes": 2.42,
        "description": "Ubuntu 24.04 (LTS) x64", "tags": [], "status": "available",
        "error_message": "",
    }  # fmt: skip
