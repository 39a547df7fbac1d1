"""What a prompt names: things, how many, and in which relation."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Group:
    """`count` equal things. `size`: the share of their place that they fill."""

    text: str
    count: int = 1
    size: float = 1.0


@dataclass(frozen=True)
class Row:
    """Parts side by side, from left to right."""

    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Pair:
    """The first part in a relation to the second; see `words.RELATIONS`."""

    relation: str
    first: "Node"
    second: "Node"


Node = Group | Row | Pair


@dataclass(frozen=True)
class Scene:
    """What a prompt names, and the ground that it stands on, "" for none."""

    node: Node
    ground: str = ""

    @cached_property
    def things(self) -> list[Group]:
        """The groups, in the order of the prompt."""
        return list(_groups(self.node))


def _groups(node: Node) -> Sequence[Group]:
    if isinstance(node, Group):
        return [node]
    parts = node.parts if isinstance(node, Row) else (node.first, node.second)
    return [group for part in parts for group in _groups(part)]
