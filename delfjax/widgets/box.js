// A photo on which a box can be dragged. canvas.py documents the values it reports.

const CLICK_DISTANCE = 4; // a drag of fewer screen pixels counts as a click

function render({ model, el }) {
  const frame = document.createElement("div");
  const image = document.createElement("img");
  const outline = document.createElement("div");
  frame.style.cssText = "position:relative;line-height:0;overflow:hidden";
  image.style.cssText = "width:100%;height:auto;user-select:none;touch-action:none;cursor:crosshair";
  outline.style.cssText = "position:absolute;display:none;pointer-events:none;"
    + "border:2px solid white;outline:1px solid #14141e;background:rgba(255,255,255,0.15)";
  image.draggable = false; // otherwise the browser drags the image file
  frame.append(image, outline);
  el.append(frame);

  let start = null; // the event that started a drag
  const size = () => [image.naturalHeight, image.naturalWidth];
  const position = ({ clientX, clientY }) => { // (y, x) in pixels, 0 at the top left corner
    const { left, top, width, height } = image.getBoundingClientRect();
    const fractions = [(clientY - top) / height, (clientX - left) / width];
    return fractions.map((part, axis) => Math.min(Math.max(part, 0), 1) * size()[axis]);
  };
  const draggedBox = (event) => { // top, left, bottom, right; null for a click
    if (Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) < CLICK_DISTANCE) return null;
    const [one, two] = [position(start), position(event)];
    return [Math.min, Math.max].flatMap((pick) => one.map((value, axis) => pick(value, two[axis])));
  };
  const draw = (box) => {
    outline.style.display = box ? "block" : "none";
    if (!box) return;
    const [[top, left, bottom, right], [rows, columns]] = [box, size()];
    const inset = [top / rows, 1 - right / columns, 1 - bottom / rows, left / columns];
    outline.style.inset = inset.map((fraction) => `${100 * fraction}%`).join(" ");
  };
  image.addEventListener("pointerdown", (event) => {
    start = event;
    image.setPointerCapture(event.pointerId);
  });
  image.addEventListener("pointermove", (event) => { if (start) draw(draggedBox(event)); });
  image.addEventListener("pointerup", (event) => {
    model.set("box", draggedBox(event));
    model.save_changes();
    draw(model.get("box"));
    start = null;
  });
  image.addEventListener("pointercancel", () => { start = null; });
  const show = () => {
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(new Blob([model.get("image")]));
    image.alt = model.get("alt");
  };
  for (const name of ["image", "alt"]) model.on(`change:${name}`, show);
  model.on("change:box", () => draw(model.get("box")));
  show();
  return () => URL.revokeObjectURL(image.src);
}

export default { render };
