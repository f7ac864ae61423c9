"use strict";

// A column sorts by the values its cells carry, numbers or words; rows without a value stay at the end.
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
    const order = Number(x) - Number(y) || x.localeCompare(y);
    return descending ? -order : order;
  };
  body.append(...[...body.rows].sort(compare));
}

for (const button of document.querySelectorAll(".sort")) {
  button.addEventListener("click", () => sortBy(button.closest("th")));
}
