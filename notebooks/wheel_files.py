"""Build hook: add what the notebooks read to the wheel.

An editable installation has no copies. Python would import the copies instead of the files of the repository.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WheelFiles(BuildHookInterface):
    """Add the files of the table ``include`` in ``pyproject.toml``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Change the list of files before a build of the kind ``version``."""
        if version != "editable":
            build_data["force_include"].update(self.config["include"])
