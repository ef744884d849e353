// Finding a lost target again, by the rules of lib/test/tracker/recovery.py.

const SAME = 0.5; // IoU of the boxes of two looks at one target
const SIZES = 3; // largest ratio of the areas of the box that is found and of the last sure box
const STRIDE = 0.5; // distance of neighbouring search regions over their side
const MOST = 40; // most search regions along a side of the image

export class Recovery {
  /** test: the section TEST of the settings; box: the first box [x, y, w, h]. */
  constructor(test, box) {
    [this.test, this.sure, this.low, this.places] = [test, box, 0, null];
  }

  /** Take note of the answer { box, score } around the last box; look elsewhere if the target is lost.
   * look(box): the answer around another box. Returns what was found elsewhere, or null. */
  async find(here, width, height, look) {
    const rules = this.test.RECOVERY;
    if (here.score >= rules.LOST) {
      [this.low, this.places] = [0, null];
      if (here.score >= rules.FOUND) this.sure = here.box;
      return null;
    }
    this.low += 1;
    if (this.low <= rules.WAIT) return null;
    this.places ??= { boxes: this.grid(width, height), next: 0 };
    for (let looks = 0; looks < rules.LOOKS; looks++) {
      const { boxes } = this.places;
      const first = await look(boxes[this.places.next++ % boxes.length]);
      if (first.score < rules.FOUND) continue;
      const second = await look(first.box);
      if (second.score >= rules.FOUND && this.plausible(first.box, second.box)) {
        [this.low, this.places, this.sure] = [0, null, second.box];
        return second;
      }
    }
    return null;
  }

  plausible(first, second) {
    const ratio = (second[2] * second[3]) / Math.max(this.sure[2] * this.sure[3], 1e-6);
    return overlap(first, second) >= SAME && ratio >= 1 / SIZES && ratio <= SIZES;
  }

  /** Boxes of the last sure size on a grid over the image, by their distance from the last sure box; each of them
   * follows the last sure box itself. */
  grid(width, height) {
    const [x, y, w, h] = this.sure;
    const centre = [x + w / 2, y + h / 2];
    const step = Math.max(STRIDE * this.test.SEARCH_FACTOR * Math.sqrt(w * h), Math.max(width, height) / MOST);
    const [across, down] = [width, height].map((side) => positions(side, step));
    const points = down.flatMap((row) => across.map((column) => [column, row]));
    const distance = (point) => Math.hypot(point[0] - centre[0], point[1] - centre[1]);
    points.sort((a, b) => distance(a) - distance(b));
    return points.flatMap((point) => [centre, point].map(([i, j]) => [i - w / 2, j - h / 2, w, h]));
  }
}

function positions(side, step) {
  if (side <= step) return [side / 2];
  const count = Math.ceil((side - step / 2) / step);
  return Array.from({ length: count }, (_, index) => step / 2 + index * step);
}

/** IoU of two boxes [x, y, w, h]. */
export function overlap(a, b) {
  const w = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const h = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  const both = Math.max(w, 0) * Math.max(h, 0);
  const union = a[2] * a[3] + b[2] * b[3] - both;
  return union > 0 ? Math.min(both / union, 1) : 0;
}
