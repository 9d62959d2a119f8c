// An image that tells where the pointer is on it; picture.py has the traits and their units.

const KEYS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const STRIDES = 40; // presses of an arrow key from side to side
const SLACK = 4; // pixels of the screen: a shorter drag is a click

function render({ model, el }) {
  const frame = document.createElement("div");
  const image = document.createElement("img");
  const box = document.createElement("div");
  frame.style.cssText = "position: relative; line-height: 0; overflow: hidden";
  image.style.cssText = "width: 100%; height: auto; cursor: crosshair; user-select: none";
  box.style.cssText = "position: absolute; display: none; pointer-events: none; box-sizing: border-box;"
    + "border: 2px solid white; outline: 1px solid #14141e; background: rgba(255, 255, 255, 0.15)";
  image.tabIndex = 0; // arrow keys move the pointer
  image.draggable = false;
  frame.append(image, box);
  el.append(frame);

  let start = null; // of a drag
  let asked = 0; // the animation frame that will tell where the pointer is

  const show = () => {
    const old = image.src;
    image.src = URL.createObjectURL(new Blob([model.get("image")]));
    if (old) URL.revokeObjectURL(old);
  };
  const describe = () => {
    image.alt = model.get("alt");
    image.style.touchAction = model.get("boxes") ? "none" : "pan-y";
  };
  const tell = (changes) => {
    model.set(changes);
    model.save_changes();
  };
  const point = (pointer) => {
    cancelAnimationFrame(asked);
    asked = requestAnimationFrame(() => tell({ pointer }));
  };
  const edges = (event) => { // (y, x) from the image's top left corner, in its own pixels
    const { left, top, width, height } = image.getBoundingClientRect();
    const within = (share, pixels) => Math.min(Math.max(share, 0), 1) * pixels;
    return [
      within((event.clientY - top) / height, image.naturalHeight),
      within((event.clientX - left) / width, image.naturalWidth),
    ];
  };
  const centred = (event) => edges(event).map((edge) => edge - 0.5);
  const corners = (event) => { // of the box from where the drag began: top, left, bottom, right
    const [one, other] = [edges(start), edges(event)];
    return [Math.min, Math.max].flatMap((pick) => [pick(one[0], other[0]), pick(one[1], other[1])]);
  };
  const draw = (event) => {
    const [top, left, bottom, right] = corners(event);
    const scale = 100 / image.naturalWidth, across = 100 / image.naturalHeight;
    box.style.display = "block";
    box.style.inset = `${top * across}% ${100 - right * scale}% ${100 - bottom * across}% ${left * scale}%`;
  };
  const isClick = (event) =>
    Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) < SLACK;

  image.addEventListener("pointermove", (event) => {
    point(centred(event));
    if (start && model.get("boxes") && !isClick(event)) draw(event);
  });
  image.addEventListener("pointerdown", (event) => {
    start = event;
    if (model.get("boxes")) image.setPointerCapture(event.pointerId);
  });
  image.addEventListener("pointerup", (event) => {
    if (!start) return;
    if (isClick(event)) {
      box.style.display = "none";
      tell({ clicked: centred(event), clicks: model.get("clicks") + 1, box: null });
    } else if (model.get("boxes")) {
      tell({ box: corners(event) });
    }
    start = null;
  });
  image.addEventListener("pointercancel", () => { start = null; });
  image.addEventListener("pointerleave", () => point(null));
  image.addEventListener("blur", () => point(null));
  image.addEventListener("keydown", (event) => {
    if (!(event.key in KEYS)) return;
    const stride = image.naturalWidth / STRIDES;
    const middle = [image.naturalHeight / 2, image.naturalWidth / 2];
    const from = model.get("pointer") ?? middle;
    const size = [image.naturalHeight, image.naturalWidth];
    const to = from.map((at, axis) => at + stride * KEYS[event.key][axis]);
    tell({ pointer: to.map((at, axis) => Math.min(Math.max(at, 0), size[axis] - 1)) });
    event.preventDefault();
    event.stopPropagation(); // JupyterLab would go to the next cell
  });

  model.on("change:image", show);
  model.on("change:alt change:boxes", describe);
  show();
  describe();
  return () => {
    cancelAnimationFrame(asked);
    URL.revokeObjectURL(image.src);
    model.off("change:image", show);
    model.off("change:alt change:boxes", describe);
  };
}

export default { render };
