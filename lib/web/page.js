// The page: a source of frames, a box drawn by pointer or typed, and the tracker's answers.

import { Tracker } from "./tracker.js";

const part = (id) => document.getElementById(id);
const [view, status, pauseButton] = [part("view"), part("status"), part("pause")];
const context = view.getContext("2d", { willReadFrequently: true });
const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
const boxInputs = ["x", "y", "w", "h"].map(part);
const keepsFrames = new URLSearchParams(location.search).has("keep"); // for tests: the pixels of each tracked frame

const state = { tracker: null, live: false, source: 0, tracking: false, paused: false, shown: null, time: 0, rows: [], lost: false };
export const kept = []; // with ?keep: { time, box, score, present, pixels (a PNG's data URL) } of each tracked frame
window.sdtrack = { state, kept };

function say(text) {
  status.textContent = text;
}

async function start() {
  ort.env.wasm.wasmPaths = new URL("ort/", document.baseURI).href;
  ort.env.wasm.numThreads = window.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  state.tracker = await Tracker.load(ort);
  say("Choose a video or the camera.");
  offer();
}

/** Enable what can be done now. */
function offer() {
  part("track").disabled = !(state.tracker && state.shown);
  pauseButton.disabled = !state.tracking;
  pauseButton.textContent = state.paused ? "Go on" : "Pause";
  part("download").disabled = !state.rows.length;
}

async function open(source) {
  [state.tracking, state.paused, state.rows, state.shown] = [false, false, [], null];
  state.source += 1; // ends the loops over the earlier source
  video.pause();
  video.srcObject?.getTracks().forEach((one) => one.stop());
  if (video.src) URL.revokeObjectURL(video.src);
  state.live = source instanceof MediaStream;
  if (state.live) video.srcObject = source;
  else [video.srcObject, video.src] = [null, URL.createObjectURL(source)];
  offer();
  await new Promise((done, failed) => {
    video.onloadeddata = done;
    video.onerror = () => failed(new Error("this browser cannot decode the video"));
    video.load();
  });
  [view.width, view.height] = [video.videoWidth, video.videoHeight];
  view.setAttribute("aria-label", `Video of ${view.width} x ${view.height} pixels`);
  state.time = await nextTime();
  if (!state.live) video.pause();
  show(read());
  say("Draw a box around the target with the pointer, or type it, and press Track.");
  offer();
  if (state.live) preview(state.source);
}

/** Read the video's frame onto the canvas. */
function read() {
  context.drawImage(video, 0, 0);
  return context.getImageData(0, 0, view.width, view.height);
}

function show(frame, box, present = true) {
  state.shown = frame;
  context.putImageData(frame, 0, 0);
  if (!box) return;
  context.lineWidth = Math.max(2, view.width / 300);
  context.strokeStyle = present ? "#ffd400" : "#9e9e9e";
  context.setLineDash(present ? [] : [6, 6]);
  context.strokeRect(...box);
}

/** Show a camera's picture until a target is chosen. */
function preview(source) {
  if (state.tracking || state.source !== source) return;
  if (!drawing) show(read(), typedBox());
  requestAnimationFrame(() => preview(source));
}

async function track() {
  const [box, { source }] = [typedBox(), state];
  try {
    await state.tracker.init(state.shown, box);
  } catch (error) {
    say(error.message);
    return;
  }
  [state.tracking, state.paused, state.rows, state.lost, kept.length] = [true, false, [], false, 0];
  note(state.shown, state.time, { box, score: 1, present: true });
  say("Tracking.");
  offer();
  let [frames, since] = [0, performance.now()];
  for await (const { frame, time } of nextFrames()) {
    const answer = await state.tracker.update(frame);
    if (state.source !== source) return;
    note(frame, time, answer);
    show(frame, answer.box, answer.present);
    tell(answer);
    frames += 1;
    const seconds = (performance.now() - since) / 1000;
    part("speed").textContent = (frames / seconds).toFixed(1);
    if (seconds > 2) [frames, since] = [0, performance.now()];
  }
  if (state.source !== source) return;
  state.tracking = false;
  say(`The video has ended: ${state.rows.length} frames. The boxes can be downloaded.`);
  offer();
}

/** Frames and their times in seconds, as they come. A file waits while a frame is tracked, a camera does not; where the
 * machine is busy, the browser skips frames of a file as well. The frame that is shown already is left out. */
async function* nextFrames() {
  let [last, { source }] = [state.time, state];
  while (!video.ended) {
    while (state.paused) await new Promise((done) => setTimeout(done, 50));
    const time = await nextTime();
    if (time === null || state.source !== source) return;
    if (!state.live) video.pause();
    if (time !== last) yield { frame: read(), time };
    last = time;
  }
}

/** Play until a frame is shown, and return its time in seconds; null at the end. */
async function nextTime() {
  const next = new Promise((done) => {
    video.requestVideoFrameCallback((_, { mediaTime }) => done(mediaTime));
    video.onended = () => done(null);
  });
  if (video.paused) await video.play();
  return next;
}

function note(frame, time, { box, score, present }) {
  const row = { time, box, score, present };
  state.rows.push(row);
  if (keepsFrames) {
    context.putImageData(frame, 0, 0);
    kept.push({ ...row, pixels: view.toDataURL("image/png") });
  }
}

function tell({ box, score, present }) {
  part("box").textContent = box.map((value) => value.toFixed(1)).join(", ");
  part("score").textContent = score.toFixed(2);
  part("present").textContent = present ? "seen" : "lost";
  if (present === state.lost) say(present ? "The target is seen again." : "The target is lost; looking for it.");
  state.lost = !present;
}

function typedBox() {
  return boxInputs.every((input) => input.value !== "") ? boxInputs.map((input) => Number(input.value)) : undefined;
}

let drawing = null;
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
  show(state.shown, box);
});
view.addEventListener("pointerup", () => (drawing = null));
part("start").addEventListener("input", () => state.shown && !state.tracking && show(state.shown, typedBox()));
part("start").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!state.tracking) guarded(track());
});
pauseButton.addEventListener("click", () => {
  state.paused = !state.paused;
  say(state.paused ? "Paused." : "Tracking.");
  offer();
});
part("file").addEventListener("change", (event) => event.target.files[0] && guarded(open(event.target.files[0])));
part("camera").addEventListener("click", () =>
  guarded(navigator.mediaDevices.getUserMedia({ video: true }).then(open)),
);
part("download").addEventListener("click", () => {
  const lines = state.rows.map(({ time, box, score, present }) =>
    [time.toFixed(3), ...box.map((value) => value.toFixed(2)), score.toFixed(4), Number(present)].join(","),
  );
  const text = ["seconds,x,y,w,h,score,present", ...lines, ""].join("\n");
  const link = document.createElement("a");
  Object.assign(link, { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: "boxes.csv" });
  link.click();
});

/** Show a failure in the status line, unless another source was chosen meanwhile. */
function guarded(promise) {
  const { source } = state;
  promise.catch((error) => {
    if (state.source !== source) return;
    state.tracking = false;
    say(`It failed: ${error.message}`);
    offer();
  });
}

guarded(start());
