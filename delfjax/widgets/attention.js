// The attention explorer: draws scores over a photo. attention_explorer.py documents the values that it reads.

const STRIDE = 16; // pixels of a pyramid level between two cells
const HEAT_SIDE = 480; // pixels of the longer side of the heatmap; the browser enlarges it
const STEPS = 40; // presses of an arrow key from edge to edge
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const HELP = "Point at the photo to inspect a cell of the feature map. The large frame is its receptive field. "
  + "Click or tap to keep the cell; again to release it. Keys: Tab, arrows, Enter.";
const SHIFT_HELP = "Heat and keypoints are drawn half a cell below and to the right of the center, where the network "
  + "responds most.";
const STYLE = `
.dx{display:flex;flex-wrap:wrap;gap:.8rem 1.2rem;font:14px/1.45 system-ui,sans-serif;color:#222;background:#fff;padding:2px}
.dx *{box-sizing:border-box} .dx figure{flex:1 1 220px;min-width:0;margin:0}
.dx .panels{display:flex;flex-wrap:wrap;gap:.6rem 1rem;flex:3 1 320px;min-width:0} .dx .panels.two{flex-basis:600px}
.dx .side{display:flex;flex-wrap:wrap;gap:.5rem 1.5rem;flex:1 1 245px;align-content:flex-start}
.dx .panels:not(.two)+.side{max-width:330px} .dx .side>div{flex:1 1 210px;min-width:0} .dx .side>div:last-child{flex-basis:300px}
.dx .stage{position:relative;cursor:crosshair;overflow:hidden;touch-action:pan-y;margin:.2rem 0}
.dx .stage>*{position:absolute;inset:0;width:100%;height:100%}
.dx img.gray{filter:grayscale(1)} .dx canvas{opacity:.6} .dx svg *{vector-effect:non-scaling-stroke;fill:none}
.dx .dark{stroke:#14141e;stroke-width:3.6} .dx .light{stroke:#fff;stroke-width:1.7} .dx svg .dim{fill:#14141e99}
.dx .stage,.dx .bar{width:min(100%,70vh*var(--aspect));aspect-ratio:var(--aspect)}
.dx .bar{display:flex;gap:.6rem;align-items:center;aspect-ratio:auto} .dx .bar i{flex:1;height:.7rem}
.dx [hidden]{display:none} .dx label:not([hidden]){display:flex;gap:.6rem;align-items:center;min-height:1.9rem} .dx label>span{flex:0 0 6.4rem}
.dx select,.dx input[type=range]{flex:1;min-width:0;font:inherit;color:inherit} .dx output{min-width:2.4rem}
.dx .row{display:flex;flex-wrap:wrap;gap:0 1rem} .dx .row label{gap:.3rem} .dx .row span{flex:none}
.dx th,.dx td{text-align:left;white-space:nowrap;padding:0 .7rem 0 0;font-weight:400;font-variant-numeric:tabular-nums}
.dx thead th{font-weight:600} .dx p{margin:.3rem 0;color:#555} .dx [role=status]{color:#222;font-weight:600}`;

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const select = (name, options) => make("select", { name }, ...options.map((each) => new Option(...[each].flat())));
const control = (text, input, ...more) => {
  input.ariaLabel = text;
  return make("label", {}, make("span", {}, text), input, ...more);
};
const checkbox = (name, text) => make("label", {}, make("input", { type: "checkbox", name }), text);

// The pyramid levels with their scores, and the height and width of their pixels in pixels of the photo.
function readLevels(view, score, size) {
  const { low, high, data } = view.scores[score];
  const { buffer } = Uint8Array.from(atob(data), (byte) => byte.charCodeAt(0));
  const values = Float32Array.from(new Uint16Array(buffer), (step) => low + (high - low) * step / 65535);
  let end = 0;
  return view.levels.map((level) => ({
    ...level,
    pixel: size.map((side, axis) => side / level.size[axis]),
    values: values.subarray(end, end += level.shape[0] * level.shape[1]),
  }));
}

// All cells, highest score first. Points and boxes are in pixels of the photo; 0 is its top or left edge.
function rankCells(levels, size) {
  const cells = levels.flatMap((level) => Array.from(level.values, (score, index) => {
    const place = [Math.floor(index / level.shape[1]), index % level.shape[1]];
    const center = place.map((n, axis) => (level.first[axis] + STRIDE * n + 0.5) * level.pixel[axis]);
    const half = level.pixel.map((side) => side * STRIDE / 2);
    // Cells at the border of the photo extend to the border.
    const start = place.map((n, axis) => (n ? center[axis] - half[axis] : 0));
    const stop = place.map((n, axis) => (n + 1 < level.shape[axis] ? center[axis] + half[axis] : size[axis]));
    return { level, score, center, half, start, stop };
  }));
  return cells.sort((one, two) => two.score - one.score);
}
const contains = ({ start, stop }, point) => point.every((at, axis) => start[axis] <= at && at <= stop[axis]);

// The maximum over the levels at each pixel of an image, interpolated between the centers of cells.
function computeHeat(levels, [rows, columns], shift) {
  const heat = new Float32Array(rows * columns).fill(-Infinity);
  for (const { values, shape, size, first } of levels) {
    const places = (count, axis) => Array.from({ length: count }, (_, pixel) => {
      const at = ((pixel + 0.5) * size[axis] / count - 0.5 - first[axis] - shift) / STRIDE;
      const inside = Math.min(Math.max(at, 0), shape[axis] - 1);
      return [Math.floor(inside), Math.ceil(inside), inside % 1];
    });
    const xs = places(columns, 1);
    places(rows, 0).forEach(([top, bottom, down], y) => xs.forEach(([left, right, across], x) => {
      const mix = (row) => values[row * shape[1] + left] * (1 - across) + values[row * shape[1] + right] * across;
      const pixel = y * columns + x;
      heat[pixel] = Math.max(heat[pixel], mix(top) * (1 - down) + mix(bottom) * down);
    }));
  }
  return heat;
}

// Draw a heatmap. Return the scores of the first and the last color.
function paint(canvas, heat, { colors, range }) {
  const sorted = heat.slice().sort();
  const [low, high] = range.map((percentile) => sorted[Math.round((sorted.length - 1) * percentile / 100)]);
  const image = new ImageData(canvas.width, canvas.height);
  heat.forEach((score, pixel) => {
    const color = Math.round(255 * Math.min(Math.max((score - low) / (high - low || 1), 0), 1));
    image.data.set([...colors[color], 255], 4 * pixel);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return [low, high];
}

function createPanel(colors) {
  const [caption, image, canvas, low, high] = ["figcaption", "img", "canvas", "span", "span"].map((tag) => make(tag));
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const stage = make("div", { class: "stage", tabindex: 0, role: "img" }, image, canvas, svg);
  const stops = colors.filter((_, index) => index % 15 === 0).map((color) => `rgb(${color})`);
  const bar = make("i", { style: `background:linear-gradient(to right,${stops})` });
  const root = make("figure", {}, caption, stage, make("div", { class: "bar" }, low, bar, high));
  image.draggable = false;
  return { root, caption, stage, image, canvas, svg, low, high };
}

const text = (score) => Number(score.toPrecision(4)).toString();
const circle = (y, x, r, kind) => `<circle cx="${x}" cy="${y}" r="${r}" class="${kind}"/>`;
const frame = ([top, left], [bottom, right]) => ["dark", "light"].map((kind) =>
  `<rect x="${left}" y="${top}" width="${right - left}" height="${bottom - top}" class="${kind}"/>`).join("");

function render({ model, el }) {
  const [photos, models, heatStyle] = ["photos", "models", "heat_style"].map((name) => model.get(name));
  const panels = [0, 1].map(() => createPanel(heatStyle.colors));
  const photoMenu = select("photo", photos), scoreMenu = select("score", []), scaleMenu = select("scale", []);
  const help = make("p"), status = make("p", { role: "status" }), shown = make("output"), table = make("table", { "aria-live": "polite" });
  const upload = make("input", { type: "file", accept: "image/*", style: "min-width:0" });
  const uploadRow = control("your photo", upload);
  const otherMenu = control("compare with", select("other", [["none", ""], ...models]));
  const count = make("input", { type: "range", name: "count", max: 1000, step: 10 });
  const checks = make("div", { class: "row" }, checkbox("heat", "heat"), checkbox("keypoints", "keypoints"),
    checkbox("shift", "shift by half a cell"));
  const side = make("div", { class: "side" },
    make("div", {}, control("photo", photoMenu), uploadRow, status,
      control("model", select("model", models)), otherMenu),
    make("div", {}, control("score", scoreMenu), control("scale", scaleMenu), control("keypoints", count, shown), checks),
    make("div", {}, table, help));
  const box = make("div", { class: "panels" }, ...panels.map(({ root }) => root));
  const root = make("div", { class: "dx", "data-lm-suppress-shortcuts": "true" }, make("style", {}, STYLE), box, side);
  el.append(root);
  uploadRow.hidden = !model.send;
  otherMenu.hidden = models.length < 2;

  let settings = model.get("settings"), view = null, pointer = null, pinned = null; // points are fractions
  const names = () => [...new Set([settings.model, settings.other])].filter(Boolean);
  const scoreOf = (name) => (settings.score in view.models[name].scores ? settings.score : "norm");
  const fill = (menu, options) => {
    if (!options.some((each) => String([each].flat()[1] ?? each) === String(settings[menu.name]))) {
      settings = { ...settings, [menu.name]: [options[0]].flat().at(-1) };
    }
    menu.replaceChildren(...select("", options).children);
  };
  const showSettings = () => {
    for (const input of root.querySelectorAll("[name]")) {
      input[input.type === "checkbox" ? "checked" : "value"] = settings[input.name];
    }
    shown.value = settings.count;
  };

  function update() {
    fill(photoMenu, model.get("photos"));
    view = model.get("views")[settings.photo];
    const missing = names().find((name) => !view?.models[name]);
    status.textContent = model.get("status") || (missing ? `Running ${missing} on ${settings.photo} …` : "");
    if (!missing) {
      const chosen = names().map((name) => view.models[name]);
      fill(scoreMenu, ["attention", "norm"].filter((kind) => chosen.some(({ scores }) => kind in scores)));
      const scales = chosen.map(({ levels }) => levels.map(({ scale }) => scale.toFixed(2)));
      fill(scaleMenu, ["all", ...scales[0].filter((scale) => scales.every((each) => each.includes(scale)))]);
    }
    showSettings();
    help.textContent = settings.shift ? `${HELP} ${SHIFT_HELP}` : HELP;
    if (!missing) names().forEach(draw);
    panels[1].root.hidden = names().length < 2;
    box.className = names().length < 2 ? "panels" : "panels two";
    if (!missing) inspect();
  }

  function draw(name, number) {
    const { root: figure, caption, stage, image, canvas, low, high } = panels[number];
    const { size } = view, shift = settings.shift ? STRIDE / 2 : 0;
    const all = readLevels(view.models[name], scoreOf(name), size);
    const levels = all.filter(({ scale }) => ["all", scale.toFixed(2)].includes(settings.scale));
    panels[number].cells = rankCells(levels, size);
    const best = panels[number].cells.slice(0, settings.keypoints ? settings.count : 0);
    const about = `${scoreOf(name)}, scale: ${settings.scale}, ${best.length} keypoint${best.length === 1 ? "" : "s"}`;
    caption.replaceChildren(make("b", {}, name), ` ${about}`);
    stage.ariaLabel = `${settings.photo}, ${name}: ${about}`;
    figure.style.setProperty("--aspect", size[1] / size[0]);
    if (image.src !== view.image) image.src = view.image;
    image.className = settings.heat ? "gray" : "";
    canvas.hidden = !settings.heat;
    [canvas.height, canvas.width] = size.map((side) => Math.round(side * HEAT_SIDE / Math.max(...size)));
    const limits = paint(canvas, computeHeat(levels, [canvas.height, canvas.width], shift), heatStyle);
    [low.textContent, high.textContent] = limits.map(text);
    panels[number].rings = best.reverse().map(({ level, center }) => { // the best are drawn last, on top
      const [y, x] = center.map((at, axis) => at + shift * level.pixel[axis]);
      const radius = size[1] / 150 / Math.sqrt(level.scale);
      return circle(y, x, radius, "dark") + circle(y, x, radius, "light");
    }).join("");
  }

  function inspect() { // mark the cell under the pointer or the pinned cell, and describe it
    const { size } = view, fraction = pointer ?? pinned;
    const columns = names().map((name, number) => {
      const { svg, cells, rings } = panels[number];
      const point = fraction?.map((part, axis) => part * size[axis]);
      const cell = point && cells.find((each) => contains(each, point));
      svg.setAttribute("viewBox", `0 0 ${size[1]} ${size[0]}`);
      svg.innerHTML = rings;
      if (!cell) return [name, "–", "–", "–", "–", "–"];
      const { level, score, center, half } = cell, field = level.pixel.map((side) => side * view.models[name].field);
      const [start, stop] = [-0.5, 0.5].map((side) => center.map((at, axis) => at + side * field[axis]));
      const hole = `M${start[1]} ${start[0]}H${stop[1]}V${stop[0]}H${start[1]}Z`;
      svg.innerHTML += `<path class="dim" fill-rule="evenodd" d="M0 0H${size[1]}V${size[0]}H0Z${hole}"/>`
        + frame(start, stop) + frame(...[-1, 1].map((side) => center.map((at, axis) => at + side * half[axis])));
      const rank = 1 + cells.findIndex((each) => each.score === score);
      return [name, text(score), `${rank.toLocaleString("en")} of ${cells.length.toLocaleString("en")}`,
        level.scale.toFixed(2), center.map((at) => Math.round(at - 0.5)).join(", "), field.map(Math.round).join(" x ")];
    });
    const heads = ["", "score", "rank", "scale", "center (y, x)", "receptive field"];
    const [head, ...rows] = heads.map((title, row) => make("tr", {}, make("th", { scope: "row" }, title),
      ...columns.map((column) => make(row ? "td" : "th", {}, column[row]))));
    table.replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
  }

  const point = (next) => { pointer = next; if (view) inspect(); };
  const pin = (at) => {
    const again = pinned && at.every((part, axis) => Math.abs(part - pinned[axis]) < 1 / STEPS);
    pinned = again ? null : at;
    inspect();
  };
  for (const { stage } of panels) {
    const position = ({ clientX, clientY }) => {
      const { left, top, width, height } = stage.getBoundingClientRect();
      return [(clientY - top) / height, (clientX - left) / width];
    };
    stage.addEventListener("pointermove", (event) => point(position(event)));
    stage.addEventListener("click", (event) => pin(position(event)));
    for (const name of ["pointerleave", "blur"]) stage.addEventListener(name, () => point(null));
    stage.addEventListener("keydown", (event) => {
      if (event.shiftKey || event.ctrlKey || !(event.key in ARROWS || event.key === "Enter")) return;
      event.preventDefault();
      event.stopPropagation(); // otherwise JupyterLab moves to the next cell
      const from = pointer ?? pinned ?? [0.5, 0.5];
      if (event.key === "Enter") pin(from);
      else point(from.map((part, axis) => Math.min(Math.max(part + ARROWS[event.key][axis] / STEPS, 0), 1)));
    });
  }
  side.addEventListener("input", async ({ target }) => {
    if (target === upload) {
      const file = target.files[0];
      status.textContent = `Running ${settings.model} on ${file.name} …`;
      return model.send({ name: file.name }, undefined, [await file.arrayBuffer()]);
    }
    const value = { checkbox: target.checked, range: Number(target.value) }[target.type] ?? target.value;
    settings = { ...settings, [target.name]: value };
    if (target.name === "photo") pointer = pinned = null;
    model.set("settings", settings);
    model.set("status", "");
    model.save_changes();
    update();
  });
  for (const name of ["photos", "views", "status"]) model.on(`change:${name}`, update);
  model.on("change:settings", () => { settings = model.get("settings"); update(); });
  update();
}

export default { render };
