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
