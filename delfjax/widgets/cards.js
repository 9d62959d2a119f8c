// Photos with lines of text below them, as buttons. canvas.py documents the values it reads and reports.

const STYLE = `
.dx-cards{display:grid;align-items:start;gap:4px;grid-template-columns:repeat(auto-fill,minmax(100px,1fr));max-height:310px;overflow:auto}
.dx-cards.row{grid-template-columns:none;grid-auto-flow:column;grid-auto-columns:minmax(60px,72px)}
.dx-cards button{font:11px/1.35 system-ui,sans-serif;text-align:left;color:#222;background:#fff;padding:2px;min-width:0;
border:2px solid transparent;border-radius:5px;cursor:pointer} .dx-cards button:hover{border-color:#aaa}
.dx-cards button[aria-pressed=true]{border-color:#14141e} .dx-cards button:focus-visible{outline:2px solid #3b6fb6}
.dx-cards span{display:block} .dx-cards img+span{max-height:2.7em;overflow:hidden;overflow-wrap:anywhere}
.dx-cards img{display:block;width:100%;aspect-ratio:4/3;object-fit:contain;background:#eeeff2;border-bottom:4px solid}`;

function render({ model, el }) {
  const root = document.createElement("div"), style = document.createElement("style");
  style.textContent = STYLE;
  root.role = "group";
  el.append(style, root);
  const draw = () => {
    root.className = model.get("in_row") ? "dx-cards row" : "dx-cards";
    root.ariaLabel = model.get("title");
    root.replaceChildren(...model.get("cards").map(({ image, lines, color }, index) => {
      const [button, photo] = ["button", "img"].map((tag) => document.createElement(tag));
      photo.src = image;
      photo.alt = "";
      photo.style.borderColor = color ?? "transparent";
      button.title = lines.join("\n");
      button.append(photo, ...lines.map((line) => Object.assign(document.createElement("span"), { textContent: line })));
      button.addEventListener("click", () => {
        model.set("selected", index);
        model.save_changes();
      });
      return button;
    }));
    select();
  };
  const select = () => [...root.children].forEach((button, index) => {
    button.ariaPressed = String(index === model.get("selected"));
  });
  model.on("change:cards", draw);
  model.on("change:selected", select);
  draw();
}

export default { render };
