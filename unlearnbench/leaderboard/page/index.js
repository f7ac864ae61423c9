// A row is shown if it holds every word of the search and what each list asks for.
const rows = [...document.querySelectorAll("tbody tr")];
const search = document.getElementById("search");
const lists = [...document.querySelectorAll("select[data-filter]")];

function isShown(row) {
  const text = row.textContent.toLowerCase();
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  return (
    words.every((word) => text.includes(word)) &&
    lists.every((list) => !list.value || row.dataset[list.dataset.filter].split("\n").includes(list.value))
  );
}

function filter() {
  for (const row of rows) row.hidden = !isShown(row);
  const shown = rows.filter((row) => !row.hidden).length;
  document.getElementById("count").textContent = `${shown} of ${rows.length} rows`;
}

search.addEventListener("input", filter);
for (const list of lists) list.addEventListener("change", filter);
document.querySelector("form.filters").addEventListener("submit", (event) => event.preventDefault());
// A browser may have kept what was typed before a page was left.
filter();
