"""What a build of the pictures drew and left out, and the licenses of what it drew."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from undiffuse.data.picture_plans import Plan


@dataclass
class Report:
    """What was drawn, and what was not."""

    drawn: Counter[str] = field(default_factory=Counter)  # by set
    styles: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    tintable: int = 0
    duplicates: list[list[str]] = field(default_factory=list)  # [key, key of the same picture]
    broken: list[str] = field(default_factory=list)  # "key: reason"
    left_out: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # by set and reason
    test_words_dropped: dict[str, int] = field(default_factory=dict)
    sets: list[dict[str, str]] = field(default_factory=list)  # licenses
    _concepts: set[str] = field(default_factory=set)

    def count(self, plan: Plan, records: list[dict[str, Any]]) -> None:
        """Add the pictures of a set."""
        self.drawn[plan.name] = len(records)
        self.styles[plan.style] += len(records)
        self.splits.update(record["split"] for record in records)
        self.tintable += sum(record["tintable"] for record in records)
        self._concepts |= {record["concept"] for record in records}
        self.sets.append({"set": plan.name, "style": plan.style, **asdict(plan.license)})

    def as_json(self) -> dict[str, Any]:
        """Everything as plain data."""
        data = dict(vars(self))  # `asdict` can't copy a Counter
        concepts = len(data.pop("_concepts"))
        return {"pictures": self.drawn.total(), "concepts": concepts, **data}

    def license_table(self) -> str:
        """Sets, styles, authors, licenses and numbers of pictures as a Markdown table."""
        rows = [
            "| set | style | pictures | author | license | version |",
            "|---|---|---|---|---|---|",
        ]
        rows += [
            f"| {one['set']} | {one['style']} | {self.drawn[one['set']]:,} | {one['author']} "
            f"| {one['name']} | {one['version']} |"
            for one in self.sets
        ]
        return "\n".join(rows) + "\n"
