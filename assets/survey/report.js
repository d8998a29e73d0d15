// The report's pictures stand once in the page; images name theirs by number. A click shows one large, a column's head sorts the list.
const pictures = JSON.parse(document.getElementById("pictures").textContent);
for (const [kind, part] of [["picture", 0], ["map", 1]]) {
  for (const image of document.querySelectorAll(`img[data-${kind}]`)) {
    const found = pictures[image.dataset[kind]];
    image.loading = "lazy";
    if (found) image.src = found[part];
    else image.remove();
  }
}

const dialog = document.querySelector("dialog");
function show(number) {
  const row = document.querySelector(`tr[data-show="${number}"]`);
  const names = [...document.querySelectorAll("th")].slice(1).map((head) => head.textContent);
  const facts = [...row.cells].slice(1).map((cell, i) => `${names[i]}: ${cell.textContent}`);
  dialog.querySelector("p").textContent = facts.join(" · ");
  dialog.querySelector("div").replaceChildren(
    ...(pictures[number] ?? []).map((source, i) => {
      const image = new Image();
      image.src = source;
      image.alt = i ? "the map over the picture" : "the picture as the network sees it";
      return image;
    }),
  );
  dialog.showModal();
}
dialog.querySelector("button").onclick = () => dialog.close();

const body = document.querySelector("tbody");
function sort(head) {
  const column = Number(head.dataset.sort);
  const cell = head.parentElement;
  const down = cell.ariaSort !== "descending";
  for (const other of document.querySelectorAll("th[aria-sort]")) other.ariaSort = "none";
  cell.ariaSort = down ? "descending" : "ascending";
  const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const compare = (a, b) => (isNaN(a) || isNaN(b) ? String(b).localeCompare(String(a), undefined, { numeric: true }) : b - a);
  body.append(...[...body.rows].sort((a, b) => (down ? 1 : -1) * compare(value(a), value(b))));
}

document.addEventListener("click", (event) => {
  const head = event.target.closest("[data-sort]");
  const shown = event.target.closest("[data-show]");
  if (head) sort(head);
  else if (shown) show(shown.dataset.show);
});
