// Tables of the class "sortable": a button in each head sorts the rows by its column.
"use strict";

// A number, commas aside; the text where it is none; undefined for "-".
function valueOf(row, column) {
  const text = row.cells[column].textContent.trim().replaceAll(",", "");
  if (text === "-") return undefined;
  return text !== "" && !isNaN(text) ? Number(text) : text;
}

function compare(a, b) {
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(b);
}

function sort(table, column) {
  const heads = [...table.tHead.rows[0].cells];
  const order = heads[column].ariaSort === "ascending" ? "descending" : "ascending";
  heads.forEach((head, i) => (head.ariaSort = i === column ? order : null));
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, value: valueOf(row, column) }));
  rows.sort((x, y) => {
    if (x.value === undefined || y.value === undefined) {
      return (x.value === undefined) - (y.value === undefined); // at the end, either way
    }
    return order === "ascending" ? compare(x.value, y.value) : compare(y.value, x.value);
  });
  body.append(...rows.map((x) => x.row));
}

document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (table.tBodies[0].rows[0].cells[column].querySelector("img")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, column));
      head.append(button);
    });
  }
});
