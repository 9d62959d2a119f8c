"""Node trees written as expressions, and coordinates that run along walls."""

import bpy

Socket = bpy.types.NodeSocket


class Graph:
    """Write a node tree as expressions: each method adds a node and returns its output."""

    def __init__(self, tree: bpy.types.NodeTree) -> None:
        self.tree = tree

    def node(
        self, kind: str, values: dict[str | int, object], **settings: object
    ) -> bpy.types.Node:
        """Add a node, set its properties, and plug sockets or constants into its inputs."""
        node = self.tree.nodes.new(kind)
        for name, value in settings.items():
            setattr(node, name, value)
        for name, value in values.items():
            socket = node.inputs[name]
            if isinstance(value, bpy.types.NodeSocket):
                self.tree.links.new(value, socket)
            elif socket.type == "RGBA":
                socket.default_value = (*value, 1.0)
            else:
                socket.default_value = value
        return node

    def math(self, operation: str, a: object, b: object = 0.0, *, clamp: bool = False) -> Socket:
        """Add a scalar operation."""
        return self.node(
            "ShaderNodeMath", {0: a, 1: b}, operation=operation, use_clamp=clamp
        ).outputs[0]

    def vector(self, operation: str, a: object, b: object = (0, 0, 0)) -> Socket:
        """Add a vector operation; its scalar result is the second output."""
        node = self.node("ShaderNodeVectorMath", {0: a, 1: b}, operation=operation)
        return node.outputs["Value" if operation in ("DOT_PRODUCT", "LENGTH") else "Vector"]

    def mix(self, factor: object, a: object, b: object, blend: str = "MIX") -> Socket:
        """Mix two colours."""
        values = {0: factor, 6: a, 7: b}
        return self.node("ShaderNodeMix", values, data_type="RGBA", blend_type=blend).outputs[2]

    def noise(self, at: Socket, scale: float, detail: float = 3.0) -> Socket:
        """Add a fractal noise in about [0, 1]."""
        values = {"Vector": at, "Scale": scale, "Detail": detail}
        return self.node("ShaderNodeTexNoise", values).outputs[0]

    def step(self, value: object, low: float, high: float) -> Socket:
        """Map [low, high] to [0, 1] smoothly."""
        values = {0: value, 1: low, 2: high, 3: 0.0, 4: 1.0}
        return self.node("ShaderNodeMapRange", values, interpolation_type="SMOOTHSTEP").outputs[0]

    def split(self, vector: Socket) -> tuple[Socket, Socket, Socket]:
        """Take a vector's x, y and z."""
        return tuple(self.node("ShaderNodeSeparateXYZ", {0: vector}).outputs)

    def join(self, x: object, y: object, z: object) -> Socket:
        """Make a vector."""
        return self.node("ShaderNodeCombineXYZ", {0: x, 1: y, 2: z}).outputs[0]


def wall_coordinates(g: Graph) -> tuple[Socket, Socket]:
    """Return (position, (u, v, 0)) in metres: u level along the face, v up its slope."""
    geometry = g.node("ShaderNodeNewGeometry", {})
    position, normal = geometry.outputs["Position"], geometry.outputs["True Normal"]
    level = g.vector("NORMALIZE", g.vector("CROSS_PRODUCT", (0, 0, 1), normal))
    x, y, z = g.split(position)
    upward = g.math("ABSOLUTE", g.split(normal)[2])
    slope = g.math("SQRT", g.math("SUBTRACT", 1.02, g.math("MULTIPLY", upward, upward)))
    wall = g.join(g.vector("DOT_PRODUCT", position, level), g.math("DIVIDE", z, slope), 0.0)
    floor = g.join(x, y, 0.0)
    lying = g.math("GREATER_THAN", upward, 0.97)
    pick = g.node("ShaderNodeMix", {0: lying, 4: wall, 5: floor}, data_type="VECTOR")
    return position, pick.outputs[1]
