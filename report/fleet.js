"use strict";
(() => {
  const table = document.getElementById("list");
  const controls = document.getElementById("controls");
  if (!table || !controls) return;
  const text = document.getElementById("text");
  const state = document.getElementById("state");
  const shown = document.getElementById("shown");
  const groups = [...table.tBodies].map(body => ({
    body, head: body.rows[0], rows: [...body.rows].slice(1).map(row => ({ row, text: row.textContent.toLowerCase() })),
  }));

  const filter = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(word => word);
    let all = 0, left = 0;
    for (const group of groups) {
      let here = 0;
      const wanted = !state.value || group.body.dataset.state === state.value;
      for (const { row, text } of group.rows) {
        const show = wanted && words.every(word => text.includes(word));
        row.hidden = !show;
        if (show) here++;
      }
      group.head.hidden = here === 0;
      all += group.rows.length;
      left += here;
    }
    shown.textContent = left + " of " + all + " machines are shown.";
  };
  let pending = 0;
  text.addEventListener("input", () => { clearTimeout(pending); pending = setTimeout(filter, 150); });
  state.addEventListener("change", filter);

  const order = new Intl.Collator("en", { numeric: true });
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sign = down ? -1 : 1;
      for (const group of groups) {
        group.rows.forEach(one => { one.key = one.row.cells[column].textContent; });
        group.rows.sort((a, b) => sign * order.compare(a.key, b.key));
        const part = document.createDocumentFragment();
        group.rows.forEach(({ row }) => part.append(row));
        group.body.append(part);
      }
    });
  });
  heads[0].setAttribute("aria-sort", "ascending");
  controls.hidden = false;
  filter();
})();
