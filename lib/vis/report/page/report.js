"use strict";
// Shared by both views: the data, the selection of trackers, and the choice of the view.

const report = {
  overview: null, // data/overview.js
  sequences: {}, // index -> content of data/sequence_<index>.js, loaded on demand
  hidden: new Set(), // labels of trackers that are switched off

  // Called by data/sequence_<index>.js
  receive(index, content) { this.sequences[index] = content; },

  start() {
    const { dataset, convention, trackers } = this.overview;
    byId("heading").textContent = `${dataset}: ${trackers.length} tracker${trackers.length > 1 ? "s" : ""}`;
    byId("about").textContent = `Convention ${convention.name}: ${convention.about}.`;
    for (const tracker of trackers) {
      const box = element("input", { type: "checkbox", checked: true });
      box.addEventListener("change", () => {
        this.hidden[box.checked ? "delete" : "add"](tracker.label);
        this.show();
      });
      const runs = tracker.runs > 1 ? ` (mean of ${tracker.runs} runs; the frames show the first run)` : "";
      byId("trackers").append(element("label", {}, box, swatch(tracker), tracker.label + runs));
    }
    overviewPage.start();
    sequencePage.start();
    window.addEventListener("hashchange", () => this.show());
    this.show();
  },

  shown() { return this.overview.trackers.filter((tracker) => !this.hidden.has(tracker.label)); },

  // Show the view of the address: #sequence-<index>, else the overview
  show() {
    const match = /^#sequence-(\d+)$/.exec(location.hash);
    const index = match && Number(match[1]) < this.overview.sequences.length ? Number(match[1]) : null;
    const { dataset, sequences } = this.overview;
    document.title = `${index === null ? dataset : sequences[index].name}: tracking report`;
    byId("overview").hidden = index !== null;
    byId("sequence").hidden = index === null;
    if (index === null) {
      const left = sequencePage.leave();
      overviewPage.draw();
      if (left !== null) document.querySelector(`a[href="#sequence-${left}"]`)?.focus(); // restore the focus
    } else if (this.sequences[index]) {
      sequencePage.draw(index, this.sequences[index]);
    } else {
      const script = element("script", { src: `data/sequence_${index}.js` });
      script.addEventListener("load", () => this.show());
      script.addEventListener("error", () => {
        byId("name").textContent = this.overview.sequences[index].name;
        byId("facts").textContent = `data/sequence_${index}.js cannot be read: the report's folder is incomplete.`;
      });
      document.body.append(script);
    }
  },
};

function byId(id) { return document.getElementById(id); }

// Create an element. Strings become text nodes, never markup, so that names of sequences and trackers cannot be code
function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value; else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// Create an SVG element
function drawn(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const DASH = { solid: "none", dash: "7 4", dashdot: "8 3 2 3", dot: "2 3" };

// A sample of a tracker's line style in the plots
function swatch(tracker) {
  const style = { stroke: tracker.colour, "stroke-width": 4, "stroke-dasharray": DASH[tracker.dash] };
  const line = drawn("line", { x1: 0, y1: 5, x2: 28, y2: 5, ...style });
  return drawn("svg", { class: "swatch", width: 28, height: 10, "aria-hidden": "true" }, line);
}

function percent(value) { return value === null || value === undefined ? "–" : value.toFixed(1); }

// Escape a text for a plot, since Plotly interprets some tags
function plain(text) { return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;"); }

function heading(text) { return { text, font: { size: 15 }, x: 0.01, xanchor: "left" }; }

const PLOT = { displaylogo: false, responsive: true,
  modeBarButtonsToRemove: ["lasso2d", "select2d", "pan2d", "zoomIn2d", "zoomOut2d", "autoScale2d"] };

// Fill a table whose column headings are buttons that sort it. columns: {title, number, value(row), cell(row)};
// state: {column, down}; column is the title to sort by, or the first numeric column if there is no such title
function sortableTable(table, caption, columns, rows, state, redraw) {
  const sorting = columns.find((column) => column.title === state.column) ?? columns.find((column) => column.number) ?? columns[0];
  const head = element("tr");
  columns.forEach((column, index) => {
    const button = element("button", { type: "button" }, column.title);
    button.addEventListener("click", () => {
      state.down = sorting === column ? !state.down : column.number;
      state.column = column.title;
      redraw();
      table.querySelectorAll("th button")[index].focus();
    });
    const sorted = sorting === column ? (state.down ? "descending" : "ascending") : "none";
    head.append(element("th", { scope: "col", className: column.number ? "number" : "", "aria-sort": sorted }, button));
  });
  const key = sorting.value;
  const ordered = rows.map((row) => [key(row), row]).sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null); // unknown values last in both directions
    const order = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
    return state.down ? -order : order;
  });
  const body = element("tbody");
  for (const [, row] of ordered) {
    const line = element("tr");
    for (const column of columns) {
      const content = column.cell ? column.cell(row) : column.value(row);
      line.append(element("td", { className: column.number ? "number" : "" }, content));
    }
    body.append(line);
  }
  table.replaceChildren(element("caption", { className: "hint" }, caption), element("thead", {}, head), body);
}
