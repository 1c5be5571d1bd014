"""OpenVidu's modules: what each runs, what it needs, and what people lose without it."""

from dataclasses import dataclass

from services.common.errors import Refused
from services.secrets_env.formats import MODULES as NAMES

KEY = "ENABLED_MODULES"


@dataclass(frozen=True)
class Module:
    """A module. `containers`: on masters; one of several names, which differ by version.

    The first of them shows whether the module runs: the others are not in every deployment.

    `webhook`: the key of openvidu.env with the port where LiveKit must post its events.
    """

    name: str
    title: str
    containers: tuple[tuple[str, ...], ...]
    without: str
    licence: str
    webhook: str = ""
    needs: tuple[str, ...] = ()

    @property
    def telling(self) -> tuple[str, ...]:
        """Return the names of the container that shows whether the module runs."""
        return self.containers[0]


MODULES: tuple[Module, ...] = (
    Module(
        "openviduMeet",
        "OpenVidu Meet",
        (("openvidu-meet", "app"),),
        "the OpenVidu Meet pages, its rooms and its REST API do not answer; "
        "apps that use LiveKit directly are not affected",
        "none of its own",
        webhook="MEET_INTERNAL_PORT",
    ),
    Module(
        "observability",
        "Grafana, Loki, Mimir and the log collector",
        (("grafana",), ("loki",), ("mimir",)),
        "Grafana does not answer, no new metrics or logs",
        "none of its own",
        needs=("GRAFANA_ADMIN_USERNAME", "GRAFANA_ADMIN_PASSWORD"),
    ),
    Module(
        "v2compatibility",
        "OpenVidu V2 Compatibility",
        (("openvidu-v2compatibility",),),
        "apps written for OpenVidu 2 cannot connect",
        "OpenVidu Pro",
        webhook="OPENVIDU_V2COMPAT_INTERNAL_PORT",
    ),
)
assert {m.name for m in MODULES} == set(NAMES)


def module_named(name: str) -> Module:
    """Return the module of that name, whatever its case. Refused if there is none."""
    for module in MODULES:
        if module.name.lower() == name.strip().lower():
            return module
    raise Refused(f"there is no such module: {', '.join(m.name for m in MODULES)}")


def enabled(value: str) -> tuple[str, ...]:
    """Return the modules that a value of `ENABLED_MODULES` names."""
    return tuple(item.strip() for item in value.split(",") if item.strip())


def switched(value: str, module: Module, *, on: bool) -> str:
    """Return `ENABLED_MODULES` with a module on or off.

    Refused where nothing changes, or where no module would be left: the key cannot be emptied.
    """
    now = enabled(value)
    if (module.name in now) is on:
        raise Refused(f"{module.name} is already {'on' if on else 'off'}. Nothing was changed")
    new = (*now, module.name) if on else tuple(n for n in now if n != module.name)
    if not new:
        raise Refused(
            f"{module.name} is the only module that is on. OpenVidu's scripts ignore an empty "
            f"{KEY}, so the last module cannot be turned off here"
        )
    return ",".join(new)


def webhook_url(module: Module, host: str) -> str:
    """Return where LiveKit posts its events to this module. `host`: as media nodes reach it."""
    return f"http://{host}:${{openvidu.{module.webhook}:?mandatory}}/livekit/webhook"
