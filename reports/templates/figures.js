// Figures: drawn by Bokeh when they come into view, in the page's colours, and linked: to choose an
// implementation in one of them fades the others in all of them, and marks its rows. The picture stays for print.

const FAINT = 0.12;
const drawn = new Map();
let chosen = null;

function startBokeh() {
  if (window.Bokeh) return;
  const source = document.getElementById("bokeh");
  document.head.append(make("script", { textContent: source.textContent }));
  source.remove();
  window.Bokeh.logger.set_level("warn");
}

// The placeholders of the drawings, as the colours that the page has now.
function colours() {
  const probe = make("i", { hidden: true });
  document.body.append(probe);
  const found = {};
  const names = { "#0a0b01": "--ink", "#0a0b02": "--muted", "#0a0b03": "--line" };
  for (let index = 0; index < 10; index += 1) names[`#0a0c${index.toString(16).padStart(2, "0")}`] = `--series-${index}`;
  for (const [placeholder, name] of Object.entries(names)) {
    probe.style.color = `var(${name})`;
    found[placeholder] = getComputedStyle(probe).color;
  }
  probe.remove();
  return found;
}

async function draw(figure) {
  startBokeh();
  const shades = colours();
  const text = JSON.stringify(data.charts[figure.dataset.chart]);
  const item = JSON.parse(text.replace(/#0a0[bc]\w\w/g, shade => shades[shade] ?? shade));
  drawn.get(figure)?.clear?.();
  figure.querySelector(".chart")?.remove();
  const place = make("div", { className: "chart" });
  place.setAttribute("aria-hidden", "true");
  figure.querySelector(".picture").after(place);
  const views = await window.Bokeh.embed.embed_item(item, place);
  drawn.set(figure, views);
  const columns = columnsOf(figure);
  const points = columns.find(one => one.data.cell);
  points.selected.change.connect(() => open(points));
  if (!figure.classList.contains("live")) {
    figure.classList.add("live");
    figure.append(legend(points.data), valuesTable(figure, points.data));
  }
  fade(figure);
}

function columnsOf(figure) {
  const root = [...drawn.get(figure)][0].model;
  return root.renderers.map(renderer => renderer.data_source).filter(source => source.data.name);
}

// A point that stands for a cell leads to it.
function open(points) {
  const [index] = points.selected.indices;
  if (index === undefined) return;
  points.selected.indices = [];
  const address = points.data.cell[index];
  const cell = address && document.getElementById(address);
  if (!cell) return;
  history.replaceState(null, "", `#${address}`);
  show(cell, address);
}

function legend(points) {
  const list = make("ul", { className: "legend" });
  const names = [...new Set(points.name)];
  for (const name of names) {
    const index = points.name.indexOf(name);
    const key = make("span", { className: `key ${points.marker[index]}` });
    const button = make("button", { type: "button" }, key, name);
    button.dataset.name = name;
    button.addEventListener("click", () => choose(chosen === name ? null : name));
    list.append(make("li", {}, button));
  }
  list.setAttribute("aria-label", "Choose one to see it in all figures");
  return list;
}

function valuesTable(figure, points) {
  const details = make("details", { className: "told" }, make("summary", { textContent: "Values" }));
  details.addEventListener("toggle", () => {
    if (details.querySelector("table")) return;
    const title = figure.querySelector("figcaption").textContent;
    const head = make("tr");
    for (const text of ["implementation", "at", "value", "interval"]) head.append(make("th", { scope: "col", textContent: text }));
    const body = make("tbody");
    for (const [index, name] of points.name.entries()) {
      const row = make("tr", {}, make("th", { scope: "row", textContent: name }));
      for (const column of ["where", "told", "interval"]) row.append(make("td", { textContent: points[column][index] }));
      body.append(row);
    }
    const table = make("table", {}, make("caption", { textContent: title }), make("thead", {}, head), body);
    const scroll = make("div", { className: "scroll", tabIndex: 0 }, table);
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", `Values of ${title}`);
    details.append(scroll);
    prepare(details);
  });
  return details;
}

function choose(name) {
  chosen = name;
  for (const figure of drawn.keys()) fade(figure);
  for (const body of bodies) {
    for (const row of body.rows) {
      const title = row.cells[0].querySelector(".value") ?? row.cells[0];
      row.classList.toggle("chosen", name !== null && title.textContent.trim() === name);
    }
  }
  said.textContent = name === null ? "All implementations shown alike" : `${name} stands out in all figures and tables`;
}

function fade(figure) {
  const columns = columnsOf(figure);
  for (const source of columns) {
    source.data.alpha = source.data.name.map(name => (chosen === null || name === chosen ? 1 : FAINT));
    source.change.emit();
  }
  const points = columns.find(one => one.data.cell).data;
  for (const button of figure.querySelectorAll(".legend button")) {
    button.setAttribute("aria-pressed", String(button.dataset.name === chosen));
    button.firstChild.style.setProperty("--key", points.colour[points.name.indexOf(button.dataset.name)]);
  }
}

const near = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    near.unobserve(target);
    draw(target);
  }
}, { rootMargin: "200px" });
for (const figure of document.querySelectorAll("figure[data-chart]")) near.observe(figure);
