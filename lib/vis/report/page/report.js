"use strict";
// What both views share: the data, which trackers are shown, and which view is.

const report = {
  overview: null, // data/overview.js
  sequences: {}, // index -> data/sequence_<index>.js, loaded when it is opened
  hidden: new Set(), // labels of trackers that are switched off

  // data/sequence_<index>.js calls this
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
      const runs = tracker.runs > 1 ? ` (mean of ${tracker.runs} runs; frames show the first)` : "";
      byId("trackers").append(element("label", {}, box, swatch(tracker), tracker.label + runs));
    }
    overviewPage.start();
    sequencePage.start();
    window.addEventListener("hashchange", () => this.show());
    this.show();
  },

  shown() { return this.overview.trackers.filter((tracker) => !this.hidden.has(tracker.label)); },

  // The view that the address names: #sequence-<index>, or all
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
      if (left !== null) document.querySelector(`a[href="#sequence-${left}"]`)?.focus(); // back where one was
    } else if (this.sequences[index]) {
      sequencePage.draw(index, this.sequences[index]);
    } else {
      const script = element("script", { src: `data/sequence_${index}.js` });
      script.addEventListener("load", () => this.show());
      script.addEventListener("error", () => {
        byId("name").textContent = this.overview.sequences[index].name;
        byId("facts").textContent = `data/sequence_${index}.js cannot be read: is the folder whole?`;
      });
      document.body.append(script);
    }
  },
};

function byId(id) { return document.getElementById(id); }

// A new element; texts become text, never markup, so that a name of a sequence or tracker cannot be code
function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value; else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// An element of an SVG
function drawn(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const DASH = { solid: "none", dash: "7 4", dashdot: "8 3 2 3", dot: "2 3" };

// A piece of a tracker's line, as the plots have it
function swatch(tracker) {
  const style = { stroke: tracker.colour, "stroke-width": 4, "stroke-dasharray": DASH[tracker.dash] };
  const line = drawn("line", { x1: 0, y1: 5, x2: 28, y2: 5, ...style });
  return drawn("svg", { class: "swatch", width: 28, height: 10, "aria-hidden": "true" }, line);
}

function percent(value) { return value === null || value === undefined ? "–" : value.toFixed(1); }

// A text for a plot, which reads a few tags in names
function plain(text) { return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;"); }

function heading(text) { return { text, font: { size: 15 }, x: 0.01, xanchor: "left" }; }

const PLOT = { displaylogo: false, responsive: true,
  modeBarButtonsToRemove: ["lasso2d", "select2d", "pan2d", "zoomIn2d", "zoomOut2d", "autoScale2d"] };

// A table with a head of buttons that sort it. columns: {title, number, value(row), cell(row)}; state: {column, down},
// whose column is a title; the first numbers where it is not there
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
    if (a === null || b === null) return (a === null) - (b === null); // unknown ones last, whatever the direction
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
