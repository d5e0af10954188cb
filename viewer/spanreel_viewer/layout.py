"""Where each span stands in the tree, and which spans a trace waited for. Pure, linear, no recursion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """What the layout needs of a span. Times in nanoseconds; `end_ns` is None while it runs."""

    span_id: str
    parent_id: str | None
    start_ns: int
    end_ns: int | None
    foreign_parent: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """The spans in reading order (depth first, siblings by start); every list is parallel to `order`."""

    order: list[int]
    """Index into the nodes given."""
    depth: list[int]
    parent: list[int]
    """Position of the parent in this order, -1 for a root."""
    size: list[int]
    """How many spans stand below (not counting the span itself)."""
    missing_parent: list[bool]
    """The span names a parent that was never recorded here (and is not another provider's)."""


def arrange(nodes: Sequence[Node]) -> Tree:
    """Order the spans of one trace as a forest.

    A span whose parent is absent becomes a root. A ring of parents (damaged input) is opened at its
    earliest span. O(n log n) for the sort of siblings.
    """
    position = {node.span_id: index for index, node in enumerate(nodes)}
    children: dict[int, list[int]] = {}
    roots: list[int] = []
    absent: set[int] = set()
    for index, node in enumerate(nodes):
        parent = position.get(node.parent_id) if node.parent_id else None
        if parent is None or parent == index:
            roots.append(index)
            if node.parent_id and not node.foreign_parent:
                absent.add(index)
        else:
            children.setdefault(parent, []).append(index)

    def by_start(index: int) -> tuple[int, str]:
        return nodes[index].start_ns, nodes[index].span_id

    for group in children.values():
        group.sort(key=by_start)
    roots.sort(key=by_start)
    tree = Tree([], [], [], [], [])
    seen = [False] * len(nodes)
    _walk(roots, children, seen, absent, tree)
    if len(tree.order) < len(nodes):
        for index in sorted((i for i, done in enumerate(seen) if not done), key=by_start):
            if not seen[index]:
                _walk([index], children, seen, absent | {index}, tree)
    _count(tree)
    return tree


def _walk(
    roots: list[int], children: dict[int, list[int]], seen: list[bool], absent: set[int], tree: Tree
) -> None:
    stack = [(index, 0, -1) for index in reversed(roots)]
    while stack:
        index, depth, parent = stack.pop()
        if seen[index]:
            continue
        seen[index] = True
        place = len(tree.order)
        tree.order.append(index)
        tree.depth.append(depth)
        tree.parent.append(parent)
        tree.size.append(0)
        tree.missing_parent.append(index in absent)
        below = children.get(index)
        if below:
            stack.extend((child, depth + 1, place) for child in reversed(below))


def _count(tree: Tree) -> None:
    for place in range(len(tree.order) - 1, -1, -1):
        parent = tree.parent[place]
        if parent >= 0:
            tree.size[parent] += tree.size[place] + 1


def critical_path(nodes: Sequence[Node], tree: Tree, *, now_ns: int) -> dict[int, int]:
    """Return position -> nanoseconds which the trace spent waiting for exactly that span.

    Walks back from the end of the longest root: the child that ended last was waited for, then
    whatever ended last before that child began; what no child covers is the span's own time. Children that
    outlive their parent are cut at the parent's end. The values add up to the root's duration.
    """
    if not tree.order:
        return {}
    ends = [now_ns if nodes[i].end_ns is None else nodes[i].end_ns or 0 for i in tree.order]
    starts = [nodes[i].start_ns for i in tree.order]
    below: dict[int, list[int]] = {}
    for place, parent in enumerate(tree.parent):
        if parent >= 0:
            below.setdefault(parent, []).append(place)
    roots = [place for place, parent in enumerate(tree.parent) if parent < 0]
    root = max(roots, key=lambda place: (ends[place] - starts[place], -place))
    own: dict[int, int] = {}
    stack = [(root, starts[root], ends[root])]
    while stack:
        place, low, high = stack.pop()
        cursor, waited = high, 0
        for child in sorted(below.get(place, ()), key=lambda c: (ends[c], c), reverse=True):
            begin, end = max(starts[child], low), min(ends[child], cursor)
            if end <= begin:
                continue
            waited += cursor - end
            stack.append((child, begin, end))
            cursor = begin
        own[place] = own.get(place, 0) + waited + max(cursor - low, 0)
    return own
