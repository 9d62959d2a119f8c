"""Run the renderer: `python -m render` from `data/`, or `python data/render`.

Needs Python 3.11 with `pip install "bpy==4.5.*" pillow numpy tqdm`; users of the set need none.
"""

import importlib.util
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    if importlib.util.find_spec("bpy") is None:
        raise SystemExit(
            "bpy is not installed: on Python 3.11, pip install 'bpy==4.5.*' pillow numpy tqdm"
        )
    from render.command import main

    main()
