"""What the installation of a deployment writes into `secrets.env`, and who reads it. Pure."""

from dataclasses import dataclass

from services.secrets_env.keys import ADDRESSES, KEYS, ONLY_ADDRESS, READY_KEY


@dataclass(frozen=True)
class SecretsLayout:
    """The keys of one deployment's file.

    `addresses`: those by which new media nodes find the masters. `always`: every generation has
    them in this file. `installs`: new media nodes read the file while they install. `without`:
    keys that such an installation need not write.
    """

    addresses: tuple[str, ...] = ADDRESSES
    always: bool = False
    installs: bool = True
    without: tuple[str, ...] = ()

    @property
    def keys(self) -> frozenset[str]:
        """Return every key that its file may have."""
        others = {*ADDRESSES, ONLY_ADDRESS} - {*self.addresses}
        return frozenset(KEYS) - others - {*self.without}


# Up to OpenVidu 3.7 the addresses of the four masters are in the file, later in objects of their
# own.
HIGH_AVAILABILITY = SecretsLayout()
ELASTIC = SecretsLayout((ONLY_ADDRESS,), always=True)
# No media node installs from it, and COMMUNITY has neither a licence nor another engine.
SINGLE_NODE = SecretsLayout(
    (),
    installs=False,
    without=("OPENVIDU_VERSION", READY_KEY, "OPENVIDU_PRO_LICENSE", "OPENVIDU_RTC_ENGINE"),
)
