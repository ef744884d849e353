// The page: a box drawn by pointer or typed, the tracker's answers, and the controls.

import { Source } from "./source.js";
import { Tracker } from "./tracker.js";

const part = (id) => document.getElementById(id);
const view = part("view");
const context = view.getContext("2d");
const boxInputs = ["x", "y", "w", "h"].map(part);
const keepsFrames = new URLSearchParams(location.search).has("keep"); // for tests: the pixels of each tracked frame

const state = {
  tracker: null,
  source: null,
  shown: null, // { frame, time } of the newest frame
  tracking: false,
  running: Promise.resolve(), // the track that is going on, which a new one waits for
  paused: false,
  ended: false,
  lost: false,
  rows: [], // { time, box, score, present } of each tracked frame
  kept: [], // with ?keep the same, and pixels: a PNG's data URL
};
window.sdtrack = state;

const say = (text) => (part("status").textContent = text);

/** Enable what can be done now. */
function offer() {
  part("track").disabled = !state.tracker || !state.shown || state.tracking || state.ended;
  part("pause").disabled = !state.tracking;
  part("pause").textContent = state.paused ? "Go on" : "Pause";
  part("download").disabled = !state.rows.length;
}

async function start() {
  ort.env.wasm.wasmPaths = new URL("ort/", document.baseURI).href;
  ort.env.wasm.numThreads = window.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  state.tracker = await Tracker.load(ort);
  say("Choose a video or the camera.");
}

/** Show a File's or a MediaStream's first frame. Only then does it take the place of the earlier source. */
async function open(what) {
  const source = await Source.open(what);
  const shown = await source.next();
  state.source?.stop();
  Object.assign(state, { source, shown, tracking: false, paused: false, ended: false, rows: [], kept: [] });
  [view.width, view.height] = [source.canvas.width, source.canvas.height];
  const name = what.name ?? "Camera";
  view.setAttribute("aria-label", `${name}, ${view.width} x ${view.height} pixels`);
  draw(typedBox());
  say(`${name}: Draw a box around the target with the pointer, or type it, and press Track.`);
  if (source.live) guarded(preview(source));
}

async function openCamera() {
  if (!navigator.mediaDevices) throw new Error("a page may use the camera only from https or localhost");
  await open(await navigator.mediaDevices.getUserMedia({ video: true }));
}

/** Show a camera's picture until a target is tracked. */
async function preview(source) {
  for (let next; !state.tracking && (next = await source.next()); ) {
    if (state.tracking || state.source !== source) return;
    if (drawing) continue;
    state.shown = next;
    draw(typedBox());
  }
}

/** Draw the newest frame, and a box into it. */
function draw(box, present = true) {
  context.putImageData(state.shown.frame, 0, 0);
  if (!box) return;
  context.lineWidth = Math.max(2, view.width / 300);
  context.strokeStyle = present ? "#ffd400" : "#9e9e9e";
  context.setLineDash(present ? [] : [6, 6]);
  context.strokeRect(...box);
}

/** Track the typed box from the newest frame to the source's end. */
async function track() {
  const [box, { source, shown, tracker }] = [typedBox(), state];
  Object.assign(state, { tracking: true, paused: false, lost: false, rows: [], kept: [] });
  offer();
  const earlier = state.running;
  state.running = follow(earlier, tracker, source, shown, box);
  try {
    await state.running;
  } finally {
    if (state.source === source) state.tracking = false;
  }
}

async function follow(earlier, tracker, source, shown, box) {
  await earlier.catch(() => {});
  await tracker.init(shown.frame, box);
  if (state.source !== source) return;
  say("Tracking.");
  note(shown, { box, score: 1, present: true });
  let [frames, since] = [0, performance.now()];
  for (let next; (next = await source.next()); ) {
    const answer = await tracker.update(next.frame);
    if (state.source !== source) return;
    state.shown = next;
    draw(answer.box, answer.present);
    note(next, answer);
    tell(answer);
    frames += 1;
    const seconds = (performance.now() - since) / 1000;
    part("speed").textContent = (frames / seconds).toFixed(1);
    if (seconds > 2) [frames, since] = [0, performance.now()];
    while (state.paused && state.source === source) await new Promise((done) => setTimeout(done, 50));
  }
  if (state.source !== source) return;
  state.ended = true;
  say(`The video has ended: ${state.rows.length} frames. The boxes can be downloaded.`);
}

function note({ frame, time }, { box, score, present }) {
  const row = { time, box, score, present };
  state.rows.push(row);
  if (!keepsFrames) return;
  const canvas = Object.assign(document.createElement("canvas"), { width: frame.width, height: frame.height });
  canvas.getContext("2d").putImageData(frame, 0, 0);
  state.kept.push({ ...row, pixels: canvas.toDataURL("image/png") });
}

function tell({ box, score, present }) {
  part("box").textContent = box.map((value) => value.toFixed(1)).join(", ");
  part("score").textContent = score.toFixed(2);
  part("present").textContent = !state.tracker.test.PRESENT_SCORE ? "not known" : present ? "seen" : "lost";
  if (present === state.lost) say(present ? "The target is seen again." : "The target is lost; looking for it.");
  state.lost = !present;
}

function download() {
  const lines = state.rows.map(({ time, box, score, present }) =>
    [time.toFixed(3), ...box.map((value) => value.toFixed(2)), score.toFixed(4), Number(present)].join(","),
  );
  const text = ["seconds,x,y,w,h,score,present", ...lines, ""].join("\n");
  const href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  Object.assign(document.createElement("a"), { href, download: "boxes.csv" }).click();
  URL.revokeObjectURL(href);
}

function typedBox() {
  return boxInputs.every((input) => input.value !== "") ? boxInputs.map((input) => Number(input.value)) : undefined;
}

/** Show a failure in the status line. */
async function guarded(promise) {
  try {
    await promise;
  } catch (error) {
    say(error.message);
  }
  offer();
}

let drawing = null; // where the pointer went down
const place = (event) => {
  const scale = view.width / view.clientWidth;
  return [event.offsetX * scale, event.offsetY * scale];
};
view.addEventListener("pointerdown", (event) => {
  if (!state.shown || state.tracking) return;
  drawing = place(event);
  view.setPointerCapture(event.pointerId);
});
view.addEventListener("pointermove", (event) => {
  if (!drawing) return;
  const [a, b] = [drawing, place(event)];
  const box = [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1])];
  boxInputs.forEach((input, index) => (input.value = box[index].toFixed(1)));
  draw(box);
});
for (const name of ["pointerup", "pointercancel"]) view.addEventListener(name, () => (drawing = null));
part("start").addEventListener("input", () => state.shown && !state.tracking && draw(typedBox()));
part("start").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!state.tracking) guarded(track());
});
part("pause").addEventListener("click", () => {
  state.paused = !state.paused;
  say(state.paused ? "Paused." : "Tracking.");
  offer();
});
part("file").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  target.value = ""; // so that the same file can be chosen again
  if (file) guarded(open(file));
});
part("camera").addEventListener("click", () => guarded(openCamera()));
part("download").addEventListener("click", download);

guarded(start());
