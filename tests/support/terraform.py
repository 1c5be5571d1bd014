"""Scenes with Terraform variables: their repository, and what an apply would do by its plan."""

from collections.abc import Iterator

from services.operations.terraform import TerraformReport
from simulators.cloud import PlannedChange, Terraform, Variables, variables_text
from simulators.github import SimulatedRepository
from tests.support.scene import Scene

REPOSITORY, PATH = "acme/infrastructure", "acme/terraform.tfvars"
SITES = {"acme": {"terraform": {"repository": REPOSITORY, "path": PATH}}}


def repository(scene: Scene) -> SimulatedRepository:
    """Return the scene's repository, whose variables describe the stack as it is."""
    return scene.environment.github.create(
        REPOSITORY, {PATH: variables_text(scene.estate, "acme"), "README.md": "acme\n"}
    )


def terraform(scene: Scene) -> Terraform:
    """Return an administrator's Terraform; its state has as many fixed nodes as there are."""
    size = "s-4vcpu-8gb"
    return Terraform(scene.estate, "acme", Variables(len(scene.estate.media("acme")), size, size))


def words(changes: tuple[PlannedChange, ...]) -> Iterator[str]:
    """Return what an apply does, by its plan alone."""
    sized = [c for c in changes if c.action == "update" and c.attribute == "size"]
    pools = [c for c in sized if c.address.endswith("-pool")]
    media = [c for c in sized if "-media-node-" in c.address and c not in pools]
    masters = [c for c in sized if c not in pools and c not in media]
    for found, noun in ((masters, "master"), (media, "media node")):
        if not found:
            continue
        who = f"{len(found)} {noun}{'s' if len(found) > 1 else ''} at once"
        if noun == "master" and not found[0].address[-1].isdigit():
            who = "the node" if "-vm-ce" in found[0].address else "the master"
        them = "them" if len(found) > 1 else "it"
        yield f"powers off {who} and resizes {them} to {found[0].becomes}"
    for change in pools:
        yield f"sets the pool to {change.becomes}"
    for change in changes:
        if change.attribute == "target":
            yield f"sets the pool from {change.was} to {change.becomes}"
    others = [c for c in changes if c not in sized and c.attribute != "target"]
    assert not others, others


def says_what_the_plan_does(report: TerraformReport, changes: tuple[PlannedChange, ...]) -> None:
    """Each change of the plan is on the card, and nothing else is."""
    expected, said = list(words(changes)), [d.apply for d in report.differences]
    assert len(said) == len(expected), (said, expected)
    for text in expected:
        assert any(s.startswith(text) for s in said), (said, expected)
