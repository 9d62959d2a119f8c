// An image that reports the pointer, clicks and a dragged box. canvas.py documents the values it reports.

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const STEPS = 40; // presses of an arrow key from edge to edge, if the image shows no grid
const CLICK_DISTANCE = 4; // a drag of fewer screen pixels counts as a click

function render({ model, el }) {
  const frame = document.createElement("div");
  const image = document.createElement("img");
  const boxOutline = document.createElement("div");
  frame.style.cssText = "position: relative; line-height: 0; overflow: hidden";
  image.style.cssText = "width: 100%; height: auto; user-select: none";
  boxOutline.style.cssText = "position: absolute; display: none; pointer-events: none; "
    + "border: 2px solid white; outline: 1px solid #14141e; background: rgba(255, 255, 255, 0.15)";
  image.tabIndex = 0; // lets the image receive key presses
  image.draggable = false; // otherwise the browser drags the image file
  frame.append(image, boxOutline);
  el.append(frame);

  let dragStart = null; // the event that started a drag
  let frameRequest = 0; // the animation frame that sends the pointer's position

  const showImage = () => {
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(new Blob([model.get("image")]));
  };
  const isGrid = () => model.get("grid")[0] > 0;
  const applySettings = () => {
    image.alt = model.get("alt");
    image.style.touchAction = model.get("draws_boxes") ? "none" : "pan-y";
    image.style.cursor = isGrid() ? "pointer" : "crosshair";
  };
  const send = (changes) => {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
  };
  const sendPointer = (pointer) => {
    model.set("pointer", pointer); // at once, because a focus or a key may come before the next frame
    cancelAnimationFrame(frameRequest);
    frameRequest = requestAnimationFrame(() => model.save_changes());
  };
  const sendClick = (clicked) => send({ clicked, clicks: model.get("clicks") + 1, box: null });

  const imageSize = () => [image.naturalHeight, image.naturalWidth];
  const arrowStep = () => (isGrid()
    ? imageSize().map((side, axis) => side / model.get("grid")[axis])
    : [image.naturalWidth / STEPS, image.naturalWidth / STEPS]);
  const clamp = (point, low, high) =>
    point.map((value, axis) => Math.min(Math.max(value, low), high[axis]));
  const eventPosition = ({ clientX, clientY }) => { // (y, x), 0 at the image's top-left corner
    const { left, top, width, height } = image.getBoundingClientRect();
    const [rows, columns] = imageSize();
    return clamp([(clientY - top) * rows / height, (clientX - left) * columns / width], 0, imageSize());
  };
  const eventPixel = (event) => eventPosition(event).map((edge) => edge - 0.5);
  const draggedBox = (event) => { // top, left, bottom, right
    const [start, end] = [eventPosition(dragStart), eventPosition(event)];
    return [Math.min, Math.max].flatMap((pick) => start.map((value, axis) => pick(value, end[axis])));
  };
  const isClick = ({ clientX, clientY }) =>
    Math.hypot(clientX - dragStart.clientX, clientY - dragStart.clientY) < CLICK_DISTANCE;
  const drawBox = (box) => {
    boxOutline.style.display = box ? "block" : "none";
    if (!box) return;
    const [[top, left, bottom, right], [rows, columns]] = [box, imageSize()];
    const inset = [top / rows, 1 - right / columns, 1 - bottom / rows, left / columns];
    boxOutline.style.inset = inset.map((fraction) => `${100 * fraction}%`).join(" ");
  };

  image.addEventListener("pointermove", (event) => {
    sendPointer(eventPixel(event));
    if (dragStart && model.get("draws_boxes") && !isClick(event)) drawBox(draggedBox(event));
  });
  image.addEventListener("pointerdown", (event) => {
    dragStart = event;
    if (model.get("draws_boxes")) image.setPointerCapture(event.pointerId);
  });
  image.addEventListener("pointerup", (event) => {
    if (dragStart && isClick(event)) {
      drawBox(null); // removes the box of a drag that returned to its start
      sendClick(eventPixel(event));
    } else if (dragStart && model.get("draws_boxes")) {
      send({ box: draggedBox(event) });
    }
    dragStart = null;
  });
  image.addEventListener("pointercancel", () => { dragStart = null; });
  for (const name of ["pointerleave", "blur"]) {
    image.addEventListener(name, () => sendPointer(null));
  }
  image.addEventListener("focus", () => { // only after the Tab key, because a mouse has set the pointer already
    if (isGrid() && !model.get("pointer")) sendPointer(arrowStep().map((side) => side / 2));
  });
  image.addEventListener("keydown", (event) => {
    const pointer = model.get("pointer");
    if (event.shiftKey || event.ctrlKey) return; // Shift+Enter runs a notebook's cell
    if (!(event.key in ARROWS) && !(event.key === "Enter" && pointer)) return;
    event.preventDefault();
    event.stopPropagation(); // otherwise JupyterLab moves to the next cell
    if (event.key === "Enter") return sendClick(pointer);
    const from = pointer ?? imageSize().map((side) => side / 2);
    const to = from.map((value, axis) => value + arrowStep()[axis] * ARROWS[event.key][axis]);
    send({ pointer: clamp(to, 0, imageSize().map((side) => side - 1)) });
  });

  model.on("change:image", showImage);
  for (const name of ["alt", "draws_boxes", "grid"]) model.on(`change:${name}`, applySettings);
  model.on("change:box", () => drawBox(model.get("box")));
  showImage();
  applySettings();
  return () => {
    cancelAnimationFrame(frameRequest);
    URL.revokeObjectURL(image.src);
  };
}

export default { render };
