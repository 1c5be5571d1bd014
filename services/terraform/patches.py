"""A patch of a variables file, bound to what was shown. Pure."""

import hashlib
from dataclasses import dataclass

from services.terraform.differences import Comparison
from services.terraform.tfvars import Value, VariablesFile

SHORT = 12


@dataclass(frozen=True)
class TerraformPatch:
    """What a file would become, so that an apply changes nothing that it does not have to."""

    before: VariablesFile
    after: VariablesFile
    values: tuple[tuple[str, Value], ...]

    @property
    def diff(self) -> str:
        """Return the unified diff; "" where nothing has to change."""
        return self.before.difference(self.after)

    @property
    def digest(self) -> str:
        """Return what names exactly this change of exactly this text."""
        both = f"{self.before.path}\0{self.before.text}\0{self.after.text}"
        return hashlib.sha256(both.encode()).hexdigest()[:SHORT]


def patch_of(file: VariablesFile, comparison: Comparison) -> TerraformPatch:
    """Return the patch for these differences. Refused where the file is not understood."""
    values = comparison.patch
    return TerraformPatch(file, file.with_values(values), tuple(values.items()))
