// The tracker: the session of lib/test/tracker/targets.py with ONNX Runtime's WebAssembly in the place of PyTorch.

import { cropPlanes, cropWindow } from "./crop.js";
import { overlap, Recovery } from "./recovery.js";

const MIN_SIDE = 10; // minimum side of a predicted box, in frame pixels

export class Tracker {
  /** ort: ONNX Runtime; folder: URL of the graphs and about.json. */
  static async load(ort, folder = ".") {
    const about = await (await fetch(`${folder}/about.json`)).json();
    const [template, search] = await Promise.all(
      ["template", "search"].map((name) =>
        ort.InferenceSession.create(`${folder}/${name}.onnx`, { executionProviders: ["wasm"] }),
      ),
    );
    return new Tracker(ort, about.config, template, search);
  }

  constructor(ort, config, template, search) {
    [this.ort, this.config, this.test] = [ort, config, config.TEST];
    [this.templateGraph, this.searchGraph] = [template, search];
    const { MEAN, STD } = config.DATA;
    this.scale = STD.map((std) => Math.fround(1 / (255 * std)));
    this.shift = STD.map((std, channel) => Math.fround(-MEAN[channel] / std));
  }

  /** Start on a frame (ImageData) at a box [x, y, w, h] in its pixels. Throws for a box without area or outside. */
  async init(frame, box) {
    const [x, y, w, h] = box;
    if (box.length !== 4 || !box.every(Number.isFinite) || w <= 0 || h <= 0) {
      throw new RangeError(`the box ${box} (x, y, width, height) has no area`);
    }
    if (x >= frame.width || y >= frame.height || x + w <= 0 || y + h <= 0) {
      throw new RangeError(`the box ${box} lies outside the picture of ${frame.width} x ${frame.height} pixels`);
    }
    const { TEMPLATE_FACTOR, TEMPLATE_SIZE, RECOVERY } = this.test;
    const window = cropWindow(box, TEMPLATE_FACTOR, TEMPLATE_SIZE, this.config.DATA.CROP_AVERAGING);
    const fraction = [(x - window.left) / window.side, (y - window.top) / window.side, w / window.side, h / window.side];
    const answer = await this.templateGraph.run({
      template_images: this.images(frame, window),
      template_boxes: new this.ort.Tensor("float32", Float32Array.from(fraction), [1, 4]),
    });
    this.template = answer.template_tokens;
    this.box = box;
    this.margin = Math.min(MIN_SIDE, w, h);
    this.recovery = RECOVERY.LOOKS ? new Recovery(this.test, box) : null;
  }

  /** Locate the target in the next frame (ImageData). Returns { box: [x, y, w, h], score, present }. */
  async update(frame) {
    const { boxes, scores, best } = await this.search(frame, this.box);
    let answer = { box: this.choose(boxes, scores, best), score: scores[best] };
    if (this.recovery) {
      const look = async (around) => {
        const found = await this.search(frame, around);
        return { box: found.boxes[found.best], score: found.scores[found.best] };
      };
      answer = (await this.recovery.find(answer, frame.width, frame.height, look)) ?? answer;
    }
    this.box = clipped(answer.box, frame.width, frame.height, this.margin);
    const threshold = this.test.PRESENT_SCORE;
    return { box: this.box, score: answer.score, present: !threshold || answer.score >= threshold };
  }

  /** Search around a box: all boxes [x, y, w, h] in frame pixels, their scores, and the index of the best one. */
  async search(frame, around) {
    const { SEARCH_FACTOR, SEARCH_SIZE } = this.test;
    const window = cropWindow(around, SEARCH_FACTOR, SEARCH_SIZE, this.config.DATA.CROP_AVERAGING);
    const { candidates } = await this.searchGraph.run({
      template_tokens: this.template,
      search_images: this.images(frame, window),
    });
    const [boxes, scores] = [[], []];
    let [best, highest] = [0, -Infinity];
    for (let row = 0; row < candidates.dims[1]; row++) {
      const [score, cx, cy, w, h, rank] = candidates.data.subarray(6 * row, 6 * row + 6);
      boxes.push([
        (cx - w / 2) * window.side + window.left,
        (cy - h / 2) * window.side + window.top,
        w * window.side,
        h * window.side,
      ]);
      scores.push(score);
      if (rank > highest) [best, highest] = [row, rank];
    }
    if (![scores[best], ...boxes[best]].every(Number.isFinite)) throw new Error("the network answered NaN or Inf");
    return { boxes, scores, best };
  }

  /** The answered box, by VOTING and SIZE_UPDATE (lib/test/tracker/choice.py). */
  choose(boxes, scores, best) {
    let chosen = boxes[best];
    if (this.test.VOTING) {
      const near = boxes.map((box, index) => index === best || overlap(box, boxes[best]) >= this.test.VOTING);
      const weights = scores.map((score, index) => (near[index] ? score ** 2 : 0));
      const sum = weights.reduce((a, b) => a + b, 0);
      if (sum > 0) {
        chosen = chosen.map((_, value) => boxes.reduce((total, box, i) => total + weights[i] * box[value], 0) / sum);
      }
    }
    const [w, h] = [2, 3].map((i) => this.box[i] * (Math.max(chosen[i], 1e-3) / this.box[i]) ** this.test.SIZE_UPDATE);
    return [chosen[0] + (chosen[2] - w) / 2, chosen[1] + (chosen[3] - h) / 2, w, h];
  }

  images(frame, window) {
    const planes = cropPlanes(frame, window, this.scale, this.shift);
    return new this.ort.Tensor("float32", planes, [1, 3, window.size, window.size]);
  }
}

/** A box clipped to the frame, with at least `margin` pixels inside. */
function clipped([x, y, w, h], width, height, margin) {
  const [x1, x2] = [Math.min(Math.max(0, x), width - margin), Math.min(Math.max(margin, x + w), width)];
  const [y1, y2] = [Math.min(Math.max(0, y), height - margin), Math.min(Math.max(margin, y + h), height)];
  return [x1, y1, Math.max(margin, x2 - x1), Math.max(margin, y2 - y1)];
}
