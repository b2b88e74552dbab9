"""What was measured, what it must be, and how both are shown."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured value; without a bound it is only reported."""

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool:
        """Whether the value keeps its bounds; a NaN keeps none."""
        return ((self.at_most is None or self.value <= self.at_most)
                and (self.at_least is None or self.value >= self.at_least))

    def wanted(self) -> str:
        """The bounds, in words that stand beside the value."""
        bounds = ((">=", self.at_least), ("<=", self.at_most))
        return ", ".join(f"{relation} {number(bound)}" for relation, bound in bounds if bound is not None)

    def as_dict(self) -> dict:
        """For JSON."""
        return dataclasses.asdict(self) | {"met": self.met}

    def __str__(self) -> str:
        return f"{self.name}: {number(self.value)} {self.unit}, must be {self.wanted()}"


def number(value: float) -> str:
    """Three digits or more of it."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def format_table(figures: list[Figure]) -> str:
    """Aligned columns, a line for each figure."""
    lines = [f"{'figure':44} {'measured':>12} {'unit':10} {'wanted':>12}  met"]
    for each in figures:
        met = "" if not each.wanted() else "yes" if each.met else "NO"
        lines.append(f"{each.name:44} {number(each.value):>12} {each.unit:10} {each.wanted():>12}  {met}".rstrip())
    return "\n".join(lines)
