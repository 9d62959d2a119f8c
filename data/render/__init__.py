"""The rendered landmark sets: procedural landmarks photographed by Blender's Cycles.

`geometry` holds polygon shapes in numpy; `openings`, `orders`, `roofs`, `ornament` and `craft` are
parts; `temples` to `towers` are the families of the small set, `lighthouses` to `works` those that
the large world adds, and `landmarks` lists them. `houses`, `plants`, `passers` and `furniture` are
the stock that `surroundings` and `ground` lay out around them; `stock` picks it or the other one, of
`houses_abroad` and so on. `views` draws cameras and weather; `worlds` says what each world has.
`materials`, `stage`, `scenes` and `photograph` need `bpy`; `truth` measures what is visible, and
`command` renders a split.
"""
