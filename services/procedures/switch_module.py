"""The procedure that turns a module of OpenVidu on or off."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from services.cluster.deployment import control_plane_of
from services.cluster.model import Cluster, Fact, short_name
from services.common.errors import Refused
from services.common.observed import Unobserved
from services.common.text import join_words
from services.config_files.modules import Module, module_named
from services.procedures.configure import Configure
from services.steps import DropStaged, Step
from services.steps.configuration import ConfigAccepted


@dataclass(frozen=True)
class SwitchModule(Configure):
    """Turn a module on or off. Requested by `module on` and `module off`.

    `ENABLED_MODULES` is in secrets.env, which masters copy into openvidu.env at each boot: a change
    of openvidu.env alone would be lost.
    """

    command: ClassVar[str] = "module apply"
    help_text: ClassVar[str] = (
        "Turn a module of OpenVidu on or off. `module on` and `module off` request it."
    )
    required_facts: ClassVar[frozenset[Fact]] = Configure.required_facts | {Fact.CONFIGURATION}
    verb: ClassVar[str] = "Turn"
    doing: ClassVar[str] = "Turning"
    done: ClassVar[str] = "has its new modules"

    module: str = ""
    on: bool = True

    def _module(self) -> Module:
        return module_named(self.module)

    def target_text(self, name: str) -> str:
        return f"{'on' if self.on else 'off'} {self.module} of {name}"

    def command_line(self) -> str:
        return f"module {'on' if self.on else 'off'} {self.module}".strip()

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        if not self.module:
            raise Refused("name a module: [[command module list]] shows which there are")
        for master in cluster.masters:
            look = cluster.configuration_of(master.name)
            name = short_name(master.name, cluster.stack)
            if isinstance(look, Unobserved):
                raise Refused(
                    f"the containers of {name} cannot be seen ({look.reason}), "
                    "and the module is verified by them"
                )
            if look.troubled:
                raise Refused(
                    f"{join_words(look.troubled)} on {name} keep restarting, "
                    "so a change could not be verified"
                )

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        return self._verified(super().steps(cluster))

    def replan(self, cluster: Cluster, left: tuple[Step, ...]) -> Iterator[Step]:
        return self._verified(super().replan(cluster, left))

    def _verified(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Yield the steps, and before the staged file is deleted that the modules are right."""
        present, absent = ((self.module,), ()) if self.on else ((), (self.module,))
        for step in steps:
            if isinstance(step, DropStaged):
                yield ConfigAccepted(present=present, absent=absent)
            if not isinstance(step, ConfigAccepted):
                yield step

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        module, plane = self._module(), control_plane_of(cluster)
        where = f"the {plane.noun}" if plane.masters == 1 else f"every {plane.noun}"
        names = join_words(names[0] for names in module.containers)
        if self.on:
            lines = [
                f"Starts {names} on {where} ({module.title})",
                f"Licence: {module.licence}",
            ]
            if module.webhook:
                lines.append("Its webhook is in livekit.yaml")
        else:
            lines = [
                f"[[warning]] Removes {names} from {where}: {module.without}",
            ]
            if module.webhook:
                lines.append(
                    "Its webhook stays in livekit.yaml, where posts to it fail. "
                    "[[command webhook remove]] takes it out"
                )
        lines.append(
            "ENABLED_MODULES is changed in secrets.env, because masters copy it over "
            "openvidu.env at each boot"
        )
        return (*lines, *super().notes(cluster))
