"use strict";
// Overview: tables and curves of all sequences, or of those with the selected attribute.

const overviewPage = {
  overall: { column: null, down: true },
  list: { column: null, down: false }, // by default the first shown tracker, worst first
  attribute: "",

  start() {
    const { attributes, groups, axes, problems } = report.overview;
    const select = byId("attribute");
    select.append(element("option", { value: "" }, "all"));
    for (const { short, long } of attributes) {
      select.append(element("option", { value: short }, `${long} (${short}, ${groups[short].number})`));
    }
    select.addEventListener("change", () => { this.attribute = select.value; this.draw(); });
    byId("attribute-label").hidden = !attributes.length;
    byId("find").addEventListener("input", () => this.draw());
    byId("problems").hidden = !problems.length;
    for (const { tracker, sequence, reason } of problems) {
      byId("problems").querySelector("tbody").append(
        element("tr", {}, element("td", {}, tracker), element("td", {}, sequence), element("td", {}, reason)));
    }
    for (const kind of Object.keys(axes)) byId("curves").append(element("div", { id: `curve-${kind}`, role: "img" }));
  },

  draw() {
    const group = report.overview.groups[this.attribute];
    const number = report.overview.sequences.length;
    byId("scope").textContent = this.attribute
      ? `${group.number} of ${number} sequences`
      : `${group.number} of ${number} sequences are scored: those for which every tracker has a result`;
    this.drawOverall(group);
    for (const kind of Object.keys(report.overview.axes)) this.drawCurve(kind, group);
    this.drawSequences();
  },

  drawOverall(group) {
    const rows = report.shown().map((tracker) => ({ tracker, figures: group.figures[tracker.label] || {} }));
    const columns = [
      { title: "Tracker", number: false, value: (row) => row.tracker.label,
        cell: (row) => element("span", {}, swatch(row.tracker), row.tracker.label) },
      ...report.overview.figures.map((name) => ({
        title: name, number: true, value: (row) => row.figures[name] ?? null, cell: (row) => percent(row.figures[name]) })),
    ];
    sortableTable(byId("overall"), "Click a heading to sort by it. fps: frames per second.", columns, rows, this.overall,
      () => this.drawOverall(group));
  },

  drawCurve(kind, group) {
    const axis = report.overview.axes[kind];
    const curves = group.curves[kind] || {};
    const lines = report.shown().filter(({ label }) => curves[label]).map((tracker) => ({
      x: axis.thresholds, y: curves[tracker.label], name: plain(tracker.label), mode: "lines",
      line: { color: tracker.colour, dash: tracker.dash, width: 2.5 },
      hovertemplate: "%{x}: %{y:.1f} %<extra>%{fullData.name}</extra>",
    }));
    const place = byId(`curve-${kind}`);
    const names = report.shown().map((tracker) => tracker.label).join(", ");
    place.setAttribute("aria-label", `${axis.title} of ${names || "no tracker"}; the table above has its figures`);
    Plotly.react(place, lines, {
      title: heading(axis.title), margin: { l: 55, r: 10, t: 40, b: 50 }, showlegend: false,
      xaxis: { title: { text: axis.x }, range: [0, axis.thresholds.at(-1)] },
      yaxis: { title: { text: axis.y }, range: [0, 100] }, hovermode: "closest",
    }, PLOT);
  },

  drawSequences() {
    const { sequences, trackers, figures } = report.overview;
    const wanted = byId("find").value.toLowerCase();
    const rows = sequences.map((sequence, index) => ({ ...sequence, index })).filter((row) =>
      (!this.attribute || row.attributes.includes(this.attribute)) && row.name.toLowerCase().includes(wanted));
    byId("sequences-heading").textContent = `Sequences (${rows.length}), ${figures[0]} in percent`;
    const columns = [
      { title: "Sequence", number: false, value: (row) => row.name,
        cell: (row) => element("a", { href: `#sequence-${row.index}` }, row.name) },
      { title: "Attributes", number: false, value: (row) => row.attributes.join(" ") },
      ...report.shown().map((tracker) => {
        const place = trackers.indexOf(tracker);
        return { title: tracker.label, number: true, value: (row) => row.scores[place], cell: (row) => percent(row.scores[place]) };
      }),
    ];
    sortableTable(byId("sequences"), "Click a heading to sort by it, or a sequence to see its frames.", columns, rows,
      this.list, () => this.drawSequences());
  },
};
