// Single answers of a table: two rows side by side, filtered by what they got right. Texts are only ever set as text.
const SHOWN_AT_ONCE = 50;

function fill(list, options) {
  const before = list.value;
  list.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  if (options.some(([value]) => value === before)) list.value = before;
}

function cell(row, text, label) {
  const made = row.insertCell();
  if (label !== undefined) {
    const mark = document.createElement("abbr");
    mark.title = label ? "right" : "wrong";
    mark.textContent = label ? "✓ " : "✗ ";
    made.append(mark);
    made.className = label ? "right" : "wrong";
  }
  made.append(text);
}

function answersOf(part, data) {
  const field = (name) => part.querySelector(`[name="${name}"]`);
  const body = part.querySelector("tbody");
  const heads = part.querySelectorAll("thead th");
  const more = part.querySelector(".more");
  const title = (id) => data.rows.find((row) => row.id === id).title;
  const kinds = {
    all: () => true,
    flipped: (here, there) => here !== there,
    lost: (here, there) => !here && there,
    won: (here, there) => here && !there,
    wrong: (here) => !here,
  };
  let limit = SHOWN_AT_ONCE;

  // A row that depends on no seed has one result for all.
  const bySeed = (found, row) => found[row] && (found[row][field("seed").value] ?? found[row].any);

  function lists() {
    const split = data.splits[field("split").value];
    const having = data.rows.filter((row) => bySeed(split.given, row.id)).map((row) => [row.id, row.title]);
    fill(field("here"), having);
    fill(field("there"), having);
    fill(field("group"), [["", "all"], ...[...new Set(split.group)].filter(Boolean).sort().map((name) => [name, name])]);
    field("group").closest("label").hidden = field("group").options.length < 2;
  }

  function show() {
    const split = data.splits[field("split").value];
    const [here, there] = [field("here").value, field("there").value];
    const asked = field("kind").value;
    fill(field("kind"), [
      ["flipped", `right in one of ${title(there)} and ${title(here)}`],
      ["lost", `right in ${title(there)}, wrong in ${title(here)}`],
      ["won", `wrong in ${title(there)}, right in ${title(here)}`],
      ["wrong", `wrong in ${title(here)}`],
      ["all", "all"],
    ]);
    field("kind").value = asked || "flipped";
    const words = field("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [right, before] = [bySeed(split.right, here), bySeed(split.right, there)];
    const [given, told] = [bySeed(split.given, here), bySeed(split.given, there)];
    const found = split.examples.map((_, index) => index).filter((index) => {
      const text = `${split.text[index]} ${split.answer[index]} ${split.answers[given[index]]}`.toLowerCase();
      return (
        kinds[field("kind").value](right[index] === "1", before[index] === "1") &&
        (!field("group").value || split.group[index] === field("group").value) &&
        words.every((word) => text.includes(word))
      );
    });
    heads[4].textContent = `${title(there)} answers`;
    heads[5].textContent = `${title(here)} answers`;
    body.replaceChildren();
    for (const index of found.slice(0, limit)) {
      const row = body.insertRow();
      cell(row, String(split.examples[index]));
      cell(row, split.text[index]);
      cell(row, split.group[index]);
      cell(row, split.answer[index]);
      cell(row, split.answers[told[index]], before[index] === "1");
      cell(row, split.answers[given[index]], right[index] === "1");
    }
    const sample = split.examples.length < split.size ? ` (evenly spaced among ${split.size})` : "";
    part.querySelector("[role=status]").textContent = `${found.length} of ${split.examples.length} examples${sample}`;
    more.hidden = found.length <= limit;
    more.textContent = `Show ${Math.min(SHOWN_AT_ONCE, found.length - limit)} more`;
  }

  fill(field("split"), data.splits.map((split, index) => [String(index), split.name]));
  fill(field("seed"), data.seeds.map((seed) => [seed, seed]));
  lists();
  const first = [...field("here").options].map((option) => option.value).find((id) => !["vanilla", "base", "retrain"].includes(id));
  if (first) field("here").value = first;
  if ([...field("there").options].some((option) => option.value === data.before)) field("there").value = data.before;
  part.querySelector("form").addEventListener("input", (event) => {
    limit = SHOWN_AT_ONCE;
    if (["split", "seed"].includes(event.target.name)) lists();
    show();
  });
  part.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => {
    limit += SHOWN_AT_ONCE;
    show();
  });
  show();
}

const answers = JSON.parse(document.getElementById("answers").textContent);
for (const part of document.querySelectorAll(".answers")) {
  // Made when it is opened, so that a page of many tables is there at once.
  part.addEventListener("toggle", () => part.open && answersOf(part, answers[part.dataset.block]), { once: true });
}
