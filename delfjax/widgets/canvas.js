// An image that tells where the pointer is on it; picture.py has the traits and their units.

const KEYS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const STRIDES = 40; // presses of an arrow key from side to side
const SLACK = 4; // pixels of the screen: a shorter drag is a click

function render({ model, el }) {
  const frame = document.createElement("div");
  const image = document.createElement("img");
  const box = document.createElement("div");
  frame.style.cssText = "position: relative; line-height: 0; overflow: hidden";
  image.style.cssText = "width: 100%; height: auto; user-select: none";
  box.style.cssText = "position: absolute; display: none; pointer-events: none; "
    + "border: 2px solid white; outline: 1px solid #14141e; background: rgba(255, 255, 255, 0.15)";
  image.tabIndex = 0; // so that arrow keys reach it
  image.draggable = false; // the browser would drag the file
  frame.append(image, box);
  el.append(frame);

  let start = null; // of a drag: the event
  let asked = 0; // the animation frame that will tell the pointer

  const show = () => {
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(new Blob([model.get("image")]));
  };
  const isTable = () => model.get("cells")[0] > 0;
  const describe = () => {
    image.alt = model.get("alt");
    image.style.touchAction = model.get("boxes") ? "none" : "pan-y";
    image.style.cursor = isTable() ? "pointer" : "crosshair";
  };
  const tell = (changes) => {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
  };
  const point = (pointer) => {
    cancelAnimationFrame(asked);
    asked = requestAnimationFrame(() => tell({ pointer }));
  };
  const click = (clicked) => tell({ clicked, clicks: model.get("clicks") + 1, box: null });
  const size = () => [image.naturalHeight, image.naturalWidth];
  const stride = () => (isTable()
    ? size().map((side, axis) => side / model.get("cells")[axis])
    : [image.naturalWidth / STRIDES, image.naturalWidth / STRIDES]);
  const clamp = (place, low, high) => place.map((at, axis) => Math.min(Math.max(at, low), high[axis]));
  const edges = ({ clientX, clientY }) => { // (y, x) in the image's pixels, 0 at its top left corner
    const { left, top, width, height } = image.getBoundingClientRect();
    const [rows, columns] = size();
    return clamp([(clientY - top) * rows / height, (clientX - left) * columns / width], 0, size());
  };
  const centered = (event) => edges(event).map((edge) => edge - 0.5);
  const corners = (event) => { // of the box since the drag began: top, left, bottom, right
    const [one, other] = [edges(start), edges(event)];
    return [Math.min, Math.max].flatMap((pick) => one.map((at, axis) => pick(at, other[axis])));
  };
  const isClick = ({ clientX, clientY }) =>
    Math.hypot(clientX - start.clientX, clientY - start.clientY) < SLACK;
  const draw = (edges) => {
    box.style.display = edges ? "block" : "none";
    if (!edges) return;
    const [[top, left, bottom, right], [rows, columns]] = [edges, size()];
    const inset = [top / rows, 1 - right / columns, 1 - bottom / rows, left / columns];
    box.style.inset = inset.map((share) => `${100 * share}%`).join(" ");
  };

  image.addEventListener("pointermove", (event) => {
    point(centered(event));
    if (start && model.get("boxes") && !isClick(event)) draw(corners(event));
  });
  image.addEventListener("pointerdown", (event) => {
    start = event;
    if (model.get("boxes")) image.setPointerCapture(event.pointerId);
  });
  image.addEventListener("pointerup", (event) => {
    if (start && isClick(event)) {
      draw(null); // of a drag that came back to where it began
      click(centered(event));
    } else if (start && model.get("boxes")) {
      tell({ box: corners(event) });
    }
    start = null;
  });
  image.addEventListener("pointercancel", () => { start = null; });
  for (const name of ["pointerleave", "blur"]) image.addEventListener(name, () => point(null));
  image.addEventListener("focus", () => { // by the Tab key: a mouse is over it already
    if (isTable() && !model.get("pointer")) point(stride().map((side) => side / 2));
  });
  image.addEventListener("keydown", (event) => {
    const at = model.get("pointer");
    if (event.shiftKey || event.ctrlKey) return; // Shift+Enter runs a notebook's cell
    if (!(event.key in KEYS) && !(event.key === "Enter" && at)) return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab would go to the next cell
    if (event.key === "Enter") return click(at);
    const from = at ?? size().map((side) => side / 2);
    const to = from.map((place, axis) => place + stride()[axis] * KEYS[event.key][axis]);
    tell({ pointer: clamp(to, 0, size().map((side) => side - 1)) });
  });

  model.on("change:image", show);
  for (const name of ["alt", "boxes", "cells"]) model.on(`change:${name}`, describe);
  model.on("change:box", () => draw(model.get("box")));
  show();
  describe();
  return () => {
    cancelAnimationFrame(asked);
    URL.revokeObjectURL(image.src);
  };
}

export default { render };
