"""Which tensors of a graph may take any time to compute, whatever they took before."""

import re
from collections.abc import Iterator, Mapping

from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2


def unbounded_tensors(meta_graph: meta_graph_pb2.MetaGraphDef) -> frozenset[str]:
    """Names those outputs of signatures that a loop, or an operation that waits, lies before.

    Args:
      meta_graph: a SavedModel's graph, its functions and its signatures.

    Returns:
      Names of tensors, like `StatefulPartitionedCall:0`.
    """
    graph = meta_graph.graph_def
    nodes = {node.name: node for node in graph.node}
    functions = _unbounded_functions(graph)
    tensors = {
        info.name
        for signature in meta_graph.signature_def.values()
        for info in signature.outputs.values()
    }
    return frozenset(
        tensor
        for tensor in tensors
        if any(_is_unbounded(node, functions) for node in _needed(nodes, tensor))
    )


_UNBOUNDED = re.compile(
    "(Stateless)?While|For|(Ref)?Enter|(Ref)?NextIteration|BatchFunction|RemoteCall"
    "|.*(Queue|Iterator|Dataset|PyFunc|Barrier|Mutex|Stage|Recv|MapDefun).*"
)


def _needed(
    nodes: Mapping[str, node_def_pb2.NodeDef], tensor: str
) -> Iterator[node_def_pb2.NodeDef]:
    """The nodes that run for a tensor."""
    waiting, seen = [tensor], set()
    while waiting:
        name = waiting.pop().removeprefix("^").partition(":")[0]
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        waiting.extend(nodes[name].input)
        yield nodes[name]


def _unbounded_functions(graph: graph_pb2.GraphDef) -> set[str]:
    """The names of functions with such an operation, their own or one of a function they call."""
    functions = {function.signature.name: function for function in graph.library.function}
    unbounded: set[str] = set()
    while True:
        found = {
            name
            for name in functions.keys() - unbounded
            if any(_is_unbounded(node, unbounded) for node in functions[name].node_def)
        }
        if not found:
            return unbounded
        unbounded |= found


def _is_unbounded(node: node_def_pb2.NodeDef, functions: set[str]) -> bool:
    called = {node.op}
    for attribute in node.attr.values():
        called.add(attribute.func.name)
        called.update(function.name for function in attribute.list.func)
    return bool(_UNBOUNDED.fullmatch(node.op)) or not functions.isdisjoint(called)
