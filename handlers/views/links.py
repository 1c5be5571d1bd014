"""Links to the pages of DigitalOcean, of OpenVidu's dashboard and of Grafana. Pure.

Slack reports the press of such a button, too; it is acknowledged and changes nothing.
"""

from dataclasses import dataclass

from handlers.slack.blocks import Block, link_button
from services.cluster.service_state import ServiceState
from services.runs.run import Run
from services.steps.results import ALL, subjects

LINK = "link"  # begins the action id of such a button
CONSOLE = "https://cloud.digitalocean.com/droplets"


@dataclass(frozen=True)
class ClusterLinks:
    """The pages of one cluster, by their addresses; "" for those it does not have."""

    dashboard: str = ""
    grafana: str = ""


NO_LINKS = ClusterLinks()


def link_buttons(run: Run, links: ClusterLinks) -> list[Block]:
    """Return the buttons that open the pages which show what a run changed."""
    buttons = [
        link_button("Open in DigitalOcean", f"{LINK}:digitalocean", digitalocean_url(run)),
    ]
    if run.service is not None and not run.service.masters_on:
        # These pages are on the masters, which are powered off.
        return buttons
    if links.dashboard:
        buttons.append(link_button("OpenVidu dashboard", f"{LINK}:dashboard", links.dashboard))
    if links.grafana:
        buttons.append(link_button("Grafana", f"{LINK}:grafana", links.grafana))
    return buttons


def digitalocean_url(run: Run) -> str:
    """Return the page in DigitalOcean's console about what a run changed, as far as is known.

    The pool, the only droplet, or else the list of droplets.
    """
    about = frozenset().union(*(subjects(step) for step in run.steps))
    pool = run.service or ServiceState()
    if pool.pool and any(s in about for s in ("pool target", "pool template")):
        return f"{CONSOLE}/autoscale-pools/{pool.pool}"
    ids = [s.partition(":")[2] for s in about if s.startswith("media:") and s != ALL]
    if len(ids) == 1 and ids[0].isdigit() and len(about) == 1:
        return f"{CONSOLE}/{ids[0]}"
    return CONSOLE
