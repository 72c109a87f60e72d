// Tables: sorted by a column's heading, and narrowed to the rows that hold some words.
// A table gets its buttons when it can first be seen: those in folded groups when the group is opened.

const FEW_ROWS = 3;
const MANY_ROWS = 12;
const collator = new Intl.Collator("en", { numeric: true });
const said = document.getElementById("said");
const bodies = [...document.querySelectorAll("main .scroll > table")].map(table => table.tBodies[0]);
const texts = new WeakMap();

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function prepare(scope) {
  for (const table of scope.querySelectorAll(".scroll > table:not([data-ready])")) {
    const folded = table.closest("details:not([open])");
    if (folded) continue;
    table.dataset.ready = "";
    const count = table.tBodies[0].rows.length;
    if (count >= FEW_ROWS) makeSortable(table);
    if (count >= MANY_ROWS) makeSearchable(table);
  }
}

function makeSortable(table) {
  const order = [...table.tBodies[0].rows];
  const heads = [...table.tHead.rows[0].cells];
  for (const [column, head] of heads.entries()) {
    const button = make("button", { type: "button", className: "sort" });
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: "" }[head.ariaSort] ?? "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      if (next) head.setAttribute("aria-sort", next);
      table.tBodies[0].append(...(next ? sorted(order, column, next) : order));
      said.textContent = `${button.textContent}: ${next ? `sorted, ${next}` : "in the first order"}`;
    });
  }
}

// Cells without a number ("not measured") stay at the end in both directions.
function sorted(rows, column, direction) {
  const sign = direction === "ascending" ? 1 : -1;
  const keys = new Map(rows.map(row => [row, keyOf(row.cells[column])]));
  const numbers = [...keys.values()].some(key => key.number !== null);
  return [...rows].sort((a, b) => {
    const [one, other] = [keys.get(a), keys.get(b)];
    if (!numbers) return sign * collator.compare(one.text, other.text);
    if (one.number === null || other.number === null) return (one.number === null) - (other.number === null);
    return sign * (one.number - other.number);
  });
}

function keyOf(cell) {
  const text = (cell.querySelector(".value") ?? cell).textContent.trim();
  return { text, number: cell.dataset.number === undefined ? null : Number(cell.dataset.number) };
}

function makeSearchable(table) {
  const input = make("input", { type: "search", placeholder: "Filter these rows", autocomplete: "off" });
  input.setAttribute("aria-label", `Filter the rows of: ${table.caption.textContent.slice(0, 80)}`);
  const count = make("output");
  const bar = make("div", { className: "bar" }, input, count);
  table.parentElement.before(bar);
  input.addEventListener("input", () => {
    table.dataset.words = input.value;
    const shown = narrow(table.tBodies[0]);
    count.textContent = input.value.trim() ? `${shown} of ${table.tBodies[0].rows.length} rows` : "";
  });
}

function textOf(row) {
  if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
  return texts.get(row);
}

function wordsOf(text) {
  return text.toLowerCase().split(/\s+/).filter(Boolean);
}

const everywhere = document.getElementById("filter");

// A row stays where it holds every word of the page's filter and of its own table's.
function narrow(body) {
  const words = [...wordsOf(everywhere.value), ...wordsOf(body.parentElement.dataset.words ?? "")];
  let shown = 0;
  for (const row of body.rows) {
    row.hidden = words.length > 0 && !words.every(word => textOf(row).includes(word));
    shown += !row.hidden;
  }
  body.parentElement.parentElement.classList.toggle("empty", shown === 0);
  return shown;
}

function narrowAll() {
  const active = everywhere.value.trim() !== "";
  let [shown, all] = [0, 0];
  for (const body of bodies) {
    shown += narrow(body);
    all += body.rows.length;
  }
  for (const group of document.querySelectorAll("main details")) {
    const tables = [...group.querySelectorAll(".scroll")];
    group.hidden = active && tables.length > 0 && tables.every(table => table.classList.contains("empty"));
  }
  document.getElementById("filtered").textContent = active ? `${shown} of ${all} rows` : "";
}

let waiting = 0;
everywhere.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(narrowAll, 120);
});
document.addEventListener("toggle", event => event.target.open && prepare(event.target), true);
prepare(document);
