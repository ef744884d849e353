"use strict";
// View of one sequence, frame by frame.

const sequencePage = {
  index: null,
  content: null,
  at: 0, // index into content.shown
  timer: null,
  curves: {}, // label -> {overlap, scores, present}, arrays with one value per frame
  worst: -1, // index of the worst moment that was shown last

  start() {
    const go = { first: () => this.go(0), previous: () => this.go(this.at - 1), next: () => this.go(this.at + 1),
      last: () => this.go(Infinity), play: () => this.toggle() };
    for (const [id, action] of Object.entries(go)) byId(id).addEventListener("click", action);
    byId("slider").addEventListener("input", (event) => this.go(Number(event.target.value)));
    const keys = { ArrowLeft: go.previous, ArrowRight: go.next, Home: go.first, End: go.last, " ": go.play,
      w: () => this.nextWorst(), Escape: () => { location.hash = ""; } };
    document.addEventListener("keydown", (event) => {
      const typing = event.target.matches("input[type=search], select");
      const pressed = event.key === " " && event.target.matches("button, input, a");
      if (byId("sequence").hidden || typing || pressed || event.ctrlKey || event.metaKey || event.altKey) return;
      if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
    });
    byId("back").addEventListener("click", (event) => { event.preventDefault(); location.hash = ""; });
    byId("picture").addEventListener("error", () => { byId("moment").textContent += " (the picture cannot be read)"; });
  },

  // Leave the view. Returns the index of the sequence that was shown, or null
  leave() {
    const left = this.index;
    this.pause();
    this.index = null;
    return left;
  },

  draw(index, content) {
    const opened = this.index !== index;
    this.index = index;
    this.content = content;
    byId("view").hidden = Boolean(content.problem);
    if (content.problem) {
      byId("name").textContent = content.name;
      byId("facts").textContent = `This sequence cannot be shown: ${content.problem}`;
      return;
    }
    if (opened) {
      this.pause();
      this.curves = {};
      this.worst = -1;
      for (const [label, answer] of Object.entries(content.trackers)) {
        if (answer.problem) continue;
        const [scores, present] = [answer.scores, answer.present].map((curve) => curve && unpack(curve));
        this.curves[label] = { overlap: unpack(answer.overlap), scores, present };
      }
      byId("name").textContent = content.name;
      const attributes = content.attributes.length ? `; ${content.attributes.join(", ")}` : "";
      byId("facts").textContent = `${content.frames} frames of ${content.sizes[0].join(" × ")} pixels${attributes}. ` +
        (content.shown.length === content.frames ? "" : `Pictures and steps cover ${content.shown.length} of them. `) +
        "The dashed black and white box is the ground truth." +
        (Object.values(this.curves).some(({ present }) => present)
          ? " A tracker's thin grey box says that it takes the target for lost." : "");
      byId("slider").max = content.shown.length - 1;
      byId("name").focus();
      window.scrollTo(0, 0);
    }
    const moments = this.moments();
    this.drawWorst(moments);
    this.drawPlot("overlap", "Overlap with the ground truth", true);
    this.drawPlot("scores", "Score reported by the tracker", false);
    if (opened && moments.length) this.nextWorst(); else this.go(opened ? 0 : this.at);
  },

  answers() { return report.shown().filter((tracker) => this.curves[tracker.label]); },

  moments() {
    const all = this.answers().flatMap((tracker) =>
      this.content.trackers[tracker.label].worst.map((moment, rank) => ({ ...moment, rank, tracker })));
    return all.sort((a, b) => a.rank - b.rank); // the worst moment of each tracker, then the second worst of each, ...
  },

  drawWorst(moments) {
    byId("worst").replaceChildren(...moments.map((moment) => {
      const range = moment.first === moment.last ? `frame ${moment.frame}` : `frames ${moment.first} to ${moment.last}`;
      const button = element("button", { type: "button" }, swatch(moment.tracker),
        `${moment.tracker.label}: ${range}, lowest overlap ${moment.overlap.toFixed(2)}`);
      button.addEventListener("click", () => { this.worst = moments.indexOf(moment); this.go(this.nearest(moment.frame)); });
      return element("li", {}, button);
    }));
    for (const tracker of report.shown()) {
      const { problem } = this.content.trackers[tracker.label];
      if (problem) byId("worst").append(element("li", {}, swatch(tracker), `${tracker.label}: ${problem}`));
    }
  },

  drawPlot(kind, title, always) {
    const lines = this.answers().filter(({ label }) => this.curves[label][kind]).map((tracker) => ({
      y: this.curves[tracker.label][kind], name: plain(tracker.label), mode: "lines", connectgaps: false,
      line: { color: tracker.colour, dash: tracker.dash, width: 1.8 },
      hovertemplate: "frame %{x}: %{y:.2f}<extra>%{fullData.name}</extra>",
    }));
    const place = byId(kind);
    place.hidden = !always && !lines.length;
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", `${title} by frame; the worst moments are listed above`);
    if (place.hidden) return;
    Plotly.react(place, lines, {
      title: heading(title), margin: { l: 50, r: 10, t: 36, b: 40 }, showlegend: false,
      xaxis: { title: { text: "Frame" }, range: [0, Math.max(this.content.frames - 1, 1)] },
      yaxis: { range: kind === "overlap" ? [0, 1] : undefined, rangemode: "tozero" }, hovermode: "closest",
    }, PLOT);
    if (!place.dataset.listens) {
      place.dataset.listens = "yes";
      place.on("plotly_click", (event) => this.go(this.nearest(event.points[0].x)));
    }
  },

  // Index into content.shown of the picture nearest to a frame
  nearest(frame) {
    const { shown } = this.content;
    return shown.reduce((best, value, place) => (Math.abs(value - frame) < Math.abs(shown[best] - frame) ? place : best), 0);
  },

  nextWorst() {
    const moments = this.moments();
    if (!moments.length) return;
    this.worst = (this.worst + 1) % moments.length;
    this.go(this.nearest(moments[this.worst].frame));
  },

  go(place) {
    const { content } = this;
    this.at = Math.max(0, Math.min(place, content.shown.length - 1));
    const frame = content.shown[this.at];
    const picture = byId("picture");
    picture.src = `frames/${this.index}/${frame}.jpg`;
    picture.alt = `Frame ${frame} of ${content.name}`;
    byId("slider").value = this.at;
    byId("slider").setAttribute("aria-valuetext", `frame ${frame}`);
    byId("moment").setAttribute("aria-live", this.timer ? "off" : "polite"); // screen readers do not announce every frame during playback
    byId("moment").textContent = `Frame ${frame} of 0 to ${content.frames - 1}`;
    byId("boxes").setAttribute("viewBox", `0 0 ${content.sizes[this.at].join(" ")}`);
    this.drawBoxes();
    this.drawValues(frame);
    const line = { type: "line", x0: frame, x1: frame, yref: "paper", y0: 0, y1: 1, line: { color: "#444", width: 1.5, dash: "dot" } };
    for (const kind of ["overlap", "scores"]) if (!byId(kind).hidden) Plotly.relayout(byId(kind), { shapes: [line] });
  },

  drawBoxes() {
    const groundTruth = this.content.ground_truth[this.at];
    byId("boxes").replaceChildren(
      ...(groundTruth ? [rectangle(groundTruth, "ground-truth"), rectangle(groundTruth, "ground-truth-core")] : []),
      ...this.answers().flatMap((tracker) => {
        const box = this.content.trackers[tracker.label].boxes[this.at];
        if (!box) return [];
        const outline = rectangle(box, "answer");
        if (this.present(tracker) === "lost") outline.classList.add("lost");
        else outline.style.stroke = tracker.colour;
        outline.style.strokeDasharray = DASH[tracker.dash];
        outline.dataset.tracker = tracker.label;
        return [outline];
      }));
  },

  // "yes", "lost", or "–" if a tracker does not tell whether the target is there
  present(tracker) {
    const told = this.curves[tracker.label].present?.[this.content.shown[this.at]];
    return told === null || told === undefined ? "–" : told >= 0.5 ? "yes" : "lost";
  },

  drawValues(frame) {
    const cell = (curve) => (curve && curve[frame] !== null ? curve[frame].toFixed(2) : "–");
    const head = ["Tracker", "Overlap", "Score", "Present"].map((text, place) =>
      element("th", { scope: "col", className: place ? "number" : "" }, text));
    byId("values").replaceChildren(element("thead", {}, element("tr", {}, ...head)), element("tbody", {},
      ...this.answers().map((tracker) => element("tr", {},
        element("td", {}, swatch(tracker), tracker.label),
        element("td", { className: "number" }, cell(this.curves[tracker.label].overlap)),
        element("td", { className: "number" }, cell(this.curves[tracker.label].scores)),
        element("td", { className: "number" }, this.present(tracker))))));
  },

  toggle() {
    if (this.timer) { this.pause(); return; }
    if (this.at === this.content.shown.length - 1) this.go(0);
    this.timer = setInterval(() => {
      if (this.at === this.content.shown.length - 1) this.pause(); else this.go(this.at + 1);
    }, 120);
    byId("play").textContent = "Pause";
  },

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    byId("play").textContent = "Play";
  },
};

// Unpack a curve of packed() in lib/vis/report/content.py: one byte per value, 255 for a missing value
function unpack({ low, high, data }) {
  return Array.from(atob(data), (letter) => {
    const level = letter.charCodeAt(0);
    return level === 255 ? null : low + (level / 254) * (high - low);
  });
}

function rectangle([x, y, width, height], kind) { return drawn("rect", { x, y, width, height, class: kind }); }
