"use strict";

// A column sorts by the values its cells carry; rows without a value stay at the end.
function sortBy(heading) {
  const table = heading.closest("table");
  const index = [...heading.parentElement.children].indexOf(heading);
  const descending = heading.getAttribute("aria-sort") !== "descending";
  for (const other of heading.parentElement.children) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const valueOf = (row) => row.children[index].dataset.value;
  const body = table.tBodies[0];
  const compare = (a, b) => {
    const [x, y] = [valueOf(a), valueOf(b)];
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    const order = index === 0 ? x.localeCompare(y) : Number(x) - Number(y);
    return descending ? -order : order;
  };
  body.append(...[...body.rows].sort(compare));
}

for (const button of document.querySelectorAll(".sort")) {
  button.addEventListener("click", () => sortBy(button.closest("th")));
}
for (const button of document.querySelectorAll(".open")) {
  button.addEventListener("click", () => document.getElementById(button.dataset.dialog).showModal());
}
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}
const specs = JSON.parse(document.getElementById("charts").textContent);
for (const [id, spec] of Object.entries(specs)) {
  vegaEmbed(document.getElementById(id), spec, { renderer: "svg", actions: false });
}
