"""Laws of the tree and of the critical path."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from spanreel_viewer.layout import Node, arrange, critical_path


@st.composite
def forests(draw: st.DrawFn) -> list[Node]:
    """Spans in any order with parents anywhere: known, absent, themselves, in a ring."""
    count = draw(st.integers(min_value=0, max_value=24))
    nodes = []
    for number in range(count):
        parent = draw(st.one_of(st.none(), st.integers(min_value=0, max_value=count + 2)))
        start = draw(st.integers(min_value=0, max_value=1000))
        length = draw(st.one_of(st.none(), st.integers(min_value=0, max_value=1000)))
        nodes.append(
            Node(
                f"s{number}",
                None if parent is None else f"s{parent}",
                start,
                None if length is None else start + length,
                draw(st.booleans()),
            )
        )
    return nodes


@given(forests())
def test_every_span_stands_once_below_its_parent(nodes: list[Node]) -> None:
    tree = arrange(nodes)
    assert sorted(tree.order) == list(range(len(nodes)))
    for place, index in enumerate(tree.order):
        parent = tree.parent[place]
        if parent < 0:
            assert tree.depth[place] == 0
        else:
            assert parent < place <= parent + tree.size[parent]
            assert tree.depth[place] == tree.depth[parent] + 1
            assert nodes[tree.order[parent]].span_id == nodes[index].parent_id


@given(forests())
def test_siblings_stand_by_start(nodes: list[Node]) -> None:
    tree = arrange(nodes)
    last: dict[int, tuple[int, str]] = {}
    for place, index in enumerate(tree.order):
        key = (nodes[index].start_ns, nodes[index].span_id)
        parent = tree.parent[place]
        if parent >= 0:
            assert last.get(parent, key) <= key
            last[parent] = key


@given(forests())
@settings(max_examples=200)
def test_the_critical_path_adds_up_to_the_longest_root(nodes: list[Node]) -> None:
    tree = arrange(nodes)
    now = 2500
    waited = critical_path(nodes, tree, now_ns=now)
    assert all(part >= 0 for part in waited.values())
    roots = [nodes[i] for place, i in enumerate(tree.order) if tree.parent[place] < 0]
    lengths = [(now if node.end_ns is None else node.end_ns) - node.start_ns for node in roots]
    assert sum(waited.values()) == max(lengths, default=0)


def test_what_is_missing_and_what_is_foreign() -> None:
    tree = arrange(
        [Node("a", "gone", 0, 1), Node("b", "theirs", 2, 3, foreign_parent=True), Node("c", None, 4, 5)]
    )
    assert tree.missing_parent == [True, False, False]


def test_a_deep_chain_needs_no_recursion() -> None:
    deep = [Node(f"s{n}", f"s{n - 1}" if n else None, n, 20_000 - n) for n in range(9_000)]
    tree = arrange(deep)
    assert tree.depth[-1] == 8_999
    assert sum(critical_path(deep, tree, now_ns=0).values()) == 20_000


def test_the_path_goes_through_what_was_waited_for() -> None:
    nodes = [
        Node("root", None, 0, 100),
        Node("fast", "root", 0, 30),
        Node("slow", "root", 0, 80),
        Node("last", "root", 85, 95),
    ]
    tree = arrange(nodes)
    names = {
        nodes[tree.order[place]].span_id: wait
        for place, wait in critical_path(nodes, tree, now_ns=100).items()
    }
    assert names == {"root": 10, "slow": 80, "last": 10}
