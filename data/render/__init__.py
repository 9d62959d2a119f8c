"""The rendered landmark set: procedural landmarks photographed by Blender's Cycles.

`geometry` holds polygon shapes in numpy; `openings`, `orders`, `roofs` and `ornament` are parts;
`temples` to `towers` are families of landmarks, and `landmarks` lists the set. `houses`, `plants`,
`passers` and `furniture` are the stock that `surroundings` and `ground` lay out around them.
`views` draws cameras and weather. `materials`, `stage`, `scenes` and `photograph` need `bpy`;
`truth` measures what is visible, and `command` renders a split.
"""
