// An answer of `clipkit.demo.views`. All text is set as text: words and file names are never read as HTML.
const root = element.querySelector(".demo-result");

function add(parent, kind, name, text) {
  const made = document.createElement(kind);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function picture(parent, source, name) {
  const image = add(parent, "img", name);
  image.alt = "";
  image.src = source;
  return image;
}

async function pixels(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

// Red and blue of the map are the piece (0: none), green is the score.
async function stage(parent, view) {
  const map = await pixels(view.map);
  const number = (at) => map.data[4 * at] + 256 * map.data[4 * at + 2];
  const frame = add(parent, "div", "demo-stage");
  frame.style.maxWidth = `calc(75vh * ${map.width / map.height})`; // the whole picture at a glance
  picture(frame, view.photo);
  const canvas = add(frame, "canvas", "demo-colours");
  [canvas.width, canvas.height] = [map.width, map.height];
  const painted = new ImageData(map.width, map.height);
  const colours = view.pieces.map(({ colour }) => [1, 3, 5].map((at) => parseInt(colour?.slice(at, at + 2), 16)).concat(255));
  for (let at = 0; at < map.width * map.height; at++) {
    if (number(at)) painted.data.set(colours[number(at) - 1], 4 * at);
  }
  canvas.getContext("2d").putImageData(painted, 0, 0);
  (view.boxes || []).forEach(([x1, y1, x2, y2], place) => {
    const box = add(frame, "div", "demo-box");
    Object.assign(box.style, {
      left: `${100 * x1}%`, top: `${100 * y1}%`, width: `${100 * (x2 - x1)}%`, height: `${100 * (y2 - y1)}%`,
      borderColor: view.pieces[place].colour,
    });
  });
  const tip = add(frame, "div", "demo-tip");
  tip.hidden = true;
  const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);
  function point(event) {
    const { left, top, width, height } = frame.getBoundingClientRect();
    const [x, y] = [(event.clientX - left) / width, (event.clientY - top) / height];
    const at = Math.min(map.height - 1, Math.floor(y * map.height)) * map.width + Math.min(map.width - 1, Math.floor(x * map.width));
    let place = number(at) - 1;
    if (place < 0 && view.boxes) {
      const over = [...view.boxes.keys()].filter((i) => {
        const [x1, y1, x2, y2] = view.boxes[i];
        return x1 <= x && x <= x2 && y1 <= y && y <= y2;
      });
      place = over.length ? over.reduce((a, b) => (area(view.boxes[b]) < area(view.boxes[a]) ? b : a)) : -1;
    }
    tip.hidden = place < 0;
    if (place < 0) return;
    const score = view.pieces[place].score ?? map.data[4 * at + 1] / 255;
    tip.textContent = `${view.pieces[place].name} ${score.toFixed(2)}`;
    tip.style.left = `${100 * x}%`;
    tip.style.top = `${100 * y}%`;
    tip.classList.toggle("demo-tip-left", x > 0.6);
  }
  frame.addEventListener("pointermove", point);
  frame.addEventListener("pointerdown", point);
  frame.addEventListener("pointerleave", () => { tip.hidden = true; });
}

function legend(parent, entries) {
  const list = add(parent, "ul", "demo-legend");
  for (const entry of entries) {
    const item = add(list, "li");
    add(item, "i").style.background = entry.colour || "transparent";
    add(item, "b", "", entry.name);
    add(item, "span", "", entry.text);
  }
}

function bars(parent, view) {
  if (view.title) add(parent, "h3", "", view.title);
  const list = add(parent, "ol", "demo-bars");
  for (const { name, score } of view.bars) {
    const item = add(list, "li");
    add(item, "b", "", name);
    add(item, "span", "", `${(100 * score).toFixed(1)} %`);
    add(item, "i").style.width = `${100 * score}%`;
  }
}

function tiles(parent, entries) {
  const grid = add(parent, "div", "demo-tiles");
  for (const entry of entries) {
    const one = add(grid, "figure");
    if (entry.photo) picture(one, entry.photo);
    add(one, "b", "", entry.name);
    add(one, "span", "", entry.text);
  }
}

async function part(parent, view) {
  if (view.error) add(parent, "p", "demo-error", view.error).setAttribute("role", "alert");
  if (view.map) await stage(parent, view);
  else if (view.photo) picture(parent, view.photo, "demo-alone");
  if (view.legend) legend(parent, view.legend);
  if (view.bars) bars(parent, view);
  if (view.tiles) tiles(parent, view.tiles);
  if (view.note) add(parent, "p", "demo-note", view.note);
  for (const one of view.parts || []) await part(add(parent, "section"), one);
  if (view.files) {
    const links = add(parent, "p", "demo-files");
    for (const file of view.files) {
      const link = add(links, "a", "", file.name);
      link.href = file.data;
      link.download = file.name;
    }
  }
}

let turn = 0;
async function show() {
  const mine = ++turn;
  const fresh = document.createElement("div");
  await part(fresh, props.value || {});
  if (mine === turn) root.replaceChildren(...fresh.childNodes);
}

watch("value", show);
show();
