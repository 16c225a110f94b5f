"use strict";
(() => {
  const all = (what, within = document) => [...within.querySelectorAll(what)];
  const make = (tag, values) => Object.assign(document.createElement(tag), values);

  // A link into a closed chapter opens it.
  const open = (hash) => {
    const target = document.getElementById(hash.slice(1));
    for (let one = target; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
    return target;
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (link) open(link.hash);
  });
  addEventListener("hashchange", () => open(location.hash));
  open(location.hash)?.scrollIntoView();

  // Gates: one table at a time.
  const views = all("#gates details.view"), choice = document.querySelector("#gates select");
  if (choice) {
    const show = () => views.forEach((view, index) => (view.hidden = !(view.open = index === choice.selectedIndex)));
    views.forEach(({ firstElementChild: summary }) => {
      choice.append(make("option", { textContent: summary.textContent.replace("Gate set ", "") }));
      summary.hidden = true;
    });
    choice.onchange = show;
    show();
  }

  // The ranking sorts, filters, hides columns and can be copied.
  const table = document.querySelector("#ranking table"), body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells], rows = [...body.rows];
  const filter = document.querySelector("#filter"), kind = document.querySelector("#kind");
  const text = (cell) => cell.firstChild?.nodeName === "STRONG" ? cell.firstChild.textContent : [...cell.childNodes]
    .filter((node) => !["I", "SUP"].includes(node.nodeName)).map((node) => node.textContent).join("").trim();
  const value = (cell, named) => {
    const shown = text(cell), number = named ? NaN : parseFloat(shown.replace("−", "-"));
    return shown === "–" ? null : isNaN(number) ? shown : number;
  };
  const sort = (column) => {
    const head = heads[column], first = column < 2 ? "ascending" : "descending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    const sign = order === "ascending" ? 1 : -1;
    heads.forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const keyed = rows.map((row) => [value(row.cells[column], column < 2), row]);
    keyed.sort(([a], [b]) => (a === null) - (b === null) || (a === b ? 0 : sign * (a < b ? -1 : 1)));
    body.append(...keyed.map(([, row]) => row));
  };
  heads.forEach((head, column) => {
    const button = make("button", { type: "button", onclick: () => sort(column) });
    button.append(...head.childNodes);
    head.append(button);
    if (!column) return;
    const box = make("input", { type: "checkbox", checked: !head.hidden });
    box.onchange = () => [head, ...rows.map((row) => row.cells[column])].forEach((cell) => (cell.hidden = !box.checked));
    const label = make("label");
    label.append(box, ` ${head.textContent}`);
    document.querySelector("#columns").append(label);
  });
  const sift = () => {
    const wanted = filter.value.trim().toLowerCase();
    rows.forEach((row) => {
      const words = `${text(row.cells[0])} ${text(row.cells[1])}`.toLowerCase();
      row.hidden = !words.includes(wanted) || !(kind.value === "" || row.className === kind.value);
    });
    document.querySelector("#shown").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  };
  filter.oninput = kind.onchange = sift;
  sift();

  const csv = () => {
    const shown = heads.map((_, column) => column).filter((column) => !heads[column].hidden);
    const ranged = shown.filter((column) => rows.some((row) => row.cells[column].querySelector("i")));
    const lines = [table.tHead.rows[0], ...body.rows].filter((row) => !row.hidden).map((row, place) => shown.flatMap((column) => {
      const cell = row.cells[column], ends = cell.querySelector("i")?.textContent.match(/[+−]?[\d.]+/g) ?? ["", ""];
      const name = place ? text(cell) : cell.textContent;
      return [name, ...(ranged.includes(column) ? (place ? ends : [`${name} lo`, `${name} hi`]) : [])];
    }));
    const field = (one, column, place) => { // a spreadsheet takes 1/5 for a date
      const plain = place && column > 1 ? one.replace("−", "-").replace(/^[+–]/, "").replace("/", " of ") : one;
      return /[",\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
    };
    return lines.map((line, place) => line.map((one, column) => field(one, column, place)).join(",")).join("\n") + "\n";
  };
  const said = document.querySelector("#copied"), area = document.querySelector("#csv");
  document.querySelector("#copy").onclick = () => {
    const done = csv();
    const refused = () => {
      area.hidden = false;
      area.value = done;
      area.select();
      said.textContent = "The clipboard is refused: copy the text below.";
    };
    if (!navigator.clipboard) return refused();
    navigator.clipboard.writeText(done).then(() => (said.textContent = "Copied."), refused);
  };

  const closed = new Set();
  addEventListener("beforeprint", () => all("details:not([open])").forEach((one) => closed.add(one) && (one.open = true)));
  addEventListener("afterprint", () => closed.forEach((one) => (one.open = false)) || closed.clear());

  all(".scripted").forEach((one) => (one.hidden = false));
})();
