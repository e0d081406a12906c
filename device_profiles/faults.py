"""The problems of one profile file, gathered while it is checked."""

from collections.abc import Callable

from telemetry.errors import Problem


class Faults:
    """Collects problems of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def add(self, where: str, reason: str, cure: str = "") -> None:
        self.problems.append(Problem(self.file, where, reason, cure))

    def attempt(self, where: str, make: Callable[[], object]) -> bool:
        """Whether ``make`` works; says where and why when it does not."""
        try:
            make()
        except ValueError as error:
            self.add(where, str(error))
            return False
        return True
