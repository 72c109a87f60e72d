// A cell's address opens what it was made of: the raw values, a row a launch or seed.

const data = JSON.parse(document.getElementById("data").textContent);
const dialog = document.getElementById("cell");
const raw = data.raw;

function seriesOf(cell) {
  return (cell.dataset.raw ?? "").split(" ").filter(Boolean).map(number => {
    const [implementation, role, suite, metric, subject, unit, parts] = raw.series[number];
    const told = [implementation, role, suite, metric, subject, unit].map(text => raw.texts[text]);
    return { implementation: told[0], role: told[1], suite: told[2], metric: told[3], subject: told[4], unit: told[5], parts };
  });
}

function valuesOf(compact) {
  return typeof compact === "string" ? [...compact].map(Number) : compact;
}

function middle(values) {
  const ordered = [...values].sort((a, b) => a - b);
  const half = ordered.length >> 1;
  return ordered.length % 2 ? ordered[half] : (ordered[half - 1] + ordered[half]) / 2;
}

function brief(number) {
  return number !== 0 && (Math.abs(number) < 1e-3 || Math.abs(number) >= 1e6)
    ? number.toExponential(3) : String(Number(number.toPrecision(4)));
}

function tableOf(series) {
  const head = make("tr");
  for (const title of ["run", "launch", "seed", "values", "mean", "median", "raw values"]) {
    head.append(make("th", { scope: "col", textContent: title }));
  }
  const body = make("tbody");
  for (const [run, launch, seed, compact] of series.parts) {
    const row = make("tr", {}, make("th", { scope: "row", textContent: raw.runs[run] }));
    const kept = typeof compact !== "number";
    const values = kept ? valuesOf(compact) : [];
    const count = kept ? values.length : compact;
    const mean = kept ? brief(values.reduce((sum, value) => sum + value, 0) / count) : "";
    const told = [launch, seed, count, mean, kept ? brief(middle(values)) : ""];
    for (const text of told) row.append(make("td", { className: "number", textContent: text }));
    row.append(make("td", {}, kept ? listOf(compact) : "in the run's measurements.jsonl: too many for this page"));
    body.append(row);
  }
  const text = `${series.implementation} (${series.role}): ${series.metric} on ${series.subject}, in ${series.unit} (suite ${series.suite})`;
  const table = make("table", {}, make("caption", { textContent: text }), make("thead", {}, head), body);
  const scroll = make("div", { className: "scroll", tabIndex: 0 }, table);
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", `Raw values of ${series.implementation}`);
  return scroll;
}

function listOf(compact) {
  const text = typeof compact === "string" ? compact : compact.join(", ");
  const list = make("code", { className: "values", textContent: text, tabIndex: 0 });
  return list;
}

function show(cell, address) {
  const found = seriesOf(cell);
  if (!found.length) return;
  const row = cell.closest("tr");
  const column = cell.closest("table").tHead.rows[0].cells[cell.cellIndex].textContent.trim();
  document.getElementById("cell-title").textContent = `${(row.cells[0].querySelector(".value") ?? row.cells[0]).textContent.trim()}: ${column}`;
  const told = make("p", { className: "shown" });
  for (const part of cell.querySelectorAll(".word, .value, .note, .mark")) told.append(make("span", { textContent: part.textContent }), " ");
  const link = make("a", { href: `#${address}`, textContent: "Address of this cell" });
  const note = make("p", { className: "lead", textContent: "Values have six significant digits here; measurements.jsonl in the run's folder has them in full. " });
  note.append(link);
  document.getElementById("cell-body").replaceChildren(told, ...found.map(tableOf), note);
  if (!dialog.open) dialog.showModal();
}

function reveal(element) {
  for (let part = element.parentElement; part; part = part.parentElement) {
    if (part.tagName === "DETAILS") part.open = true;
    part.hidden = false;
  }
  element.scrollIntoView({ block: "center", inline: "nearest" });
}

function follow() {
  const address = decodeURIComponent(location.hash.slice(1));
  const found = address && document.getElementById(address);
  if (!found) return;
  if (found.closest("tr")) reveal(found.closest("tr"));
  if (found.dataset.raw) show(found, address);
}

document.addEventListener("click", event => {
  const link = event.target.closest("td > a.value, th > a.value");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  history.replaceState(null, "", link.getAttribute("href"));
  show(link.parentElement, link.getAttribute("href").slice(1));
});
dialog.addEventListener("click", event => event.target === dialog && dialog.close());
window.addEventListener("hashchange", follow);
// Not before the browser has gone to the fragment itself, which takes the focus from a dialog.
window.addEventListener("load", () => requestAnimationFrame(() => setTimeout(follow)));
