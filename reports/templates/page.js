// The page's colours: as the system has them, or as the reader chose.

const SCHEMES = { "": "as the system", light: "light", dark: "dark" };
const scheme = document.getElementById("scheme");

function remembered() {
  try {
    return localStorage.getItem("attnbench-colours") ?? "";
  } catch {
    return ""; // a browser that keeps nothing for pages from disk
  }
}

function wear(name) {
  document.documentElement.style.colorScheme = name;
  scheme.textContent = `Colours: ${SCHEMES[name] ?? SCHEMES[""]}`;
  for (const figure of drawn.keys()) draw(figure);
}

scheme.addEventListener("click", () => {
  const names = Object.keys(SCHEMES);
  const next = names[(names.indexOf(document.documentElement.style.colorScheme) + 1) % names.length];
  try {
    localStorage.setItem("attnbench-colours", next);
  } catch {
    // not remembered then
  }
  wear(next);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const figure of drawn.keys()) draw(figure);
});
document.querySelector(".tools").hidden = false;
if (remembered() in SCHEMES && remembered()) wear(remembered());
