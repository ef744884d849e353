// The square crop around a target, as lib/utils/crop.py defines it. A frame is an ImageData: RGBA, row by row.

const CELLS = [1, 2, 4, 8]; // sides in pixels of the cells that are averaged before a large window is reduced

/** The window centred on a box [x, y, w, h]: left, top, side in pixels, and the cell's side. size: crop's side. */
export function cropWindow(box, factor, size, averaging) {
  const [x, y, w, h] = box;
  let side = Math.max(1, Math.ceil(Math.sqrt(w * h) * factor));
  const most = averaging ? Math.floor(side / size) : 1;
  const cell = CELLS.filter((value) => value === 1 || value <= most).pop();
  side = roundHalfEven(side / cell) * cell;
  const left = roundHalfEven((x + w / 2 - side / 2) / cell) * cell;
  const top = roundHalfEven((y + h / 2 - side / 2) / cell) * cell;
  return { left, top, side, size, cell };
}

/** A window's pixels as (3, size, size) Float32: RGB * scale + shift per channel. Zeros outside the frame. */
export function cropPlanes(frame, window, scale, shift) {
  const { size, cell } = window;
  const [left, top, side] = [window.left / cell, window.top / cell, window.side / cell];
  const [columns, rows] = [Math.ceil(frame.width / cell), Math.ceil(frame.height / cell)];
  const [x1, x2] = [left, left + side].map((value) => Math.min(Math.max(value, 0), columns));
  const [y1, y2] = [top, top + side].map((value) => Math.min(Math.max(value, 0), rows));
  const patch = averaged(frame, x1 * cell, y1 * cell, x2 * cell, y2 * cell, cell);
  const offset = { row: y1 - top, column: x1 - left, side };
  return resized(patch, offset, size, scale, shift);
}

/** Bilinear interpolation in OpenCV's whole numbers: weights of 11 bits, so that the pixels are those of cv2.resize.
 * patch: the part of the window that lies in the frame; offset: where it begins in the window, and the window's side. */
function resized(patch, offset, size, scale, shift) {
  const places = Array.from({ length: size }, (_, index) => sample(index, offset.side, size));
  const columns = places.map(({ first, share }) => {
    const inside = first >= 0 && first < offset.side - 1;
    const at = Math.min(Math.max(first, 0), offset.side - 1);
    return { first: at, second: inside ? at + 1 : at, ...weights(inside ? share : 0) };
  });
  const lines = new Map(); // rows of the window that were interpolated across: size * 3 values each
  const line = (row) => {
    if (!lines.has(row)) lines.set(row, across(patch, row - offset.row, offset.column, columns));
    return lines.get(row);
  };
  const planes = new Float32Array(3 * size * size);
  places.forEach(({ first, share }, row) => {
    const [above, below] = [first, first + 1].map((at) => line(Math.min(Math.max(at, 0), offset.side - 1)));
    const { near, far } = weights(share);
    for (let column = 0; column < size; column++) {
      for (let channel = 0; channel < 3; channel++) {
        const at = 3 * column + channel;
        const value = (((near * (above[at] >> 4)) >> 16) + ((far * (below[at] >> 4)) >> 16) + 2) >> 2;
        planes[(channel * size + row) * size + column] = value * scale[channel] + shift[channel];
      }
    }
    for (const done of lines.keys()) if (done < first) lines.delete(done);
  });
  return planes;
}

/** Where a crop's row or column lies in the window: the pixel before it, and the share of the next one. */
function sample(index, side, size) {
  const at = Math.fround((index + 0.5) * (side / size) - 0.5);
  const first = Math.floor(at);
  return { first, share: Math.fround(at - first) };
}

const weights = (share) => ({ near: roundHalfEven((1 - share) * 2048), far: roundHalfEven(share * 2048) });

/** A row of the window, interpolated at the columns: size * 3 whole numbers. Zeros outside the patch. */
function across(patch, row, left, columns) {
  const values = new Int32Array(3 * columns.length);
  if (row < 0 || row >= patch.height) return values;
  const from = 3 * row * patch.width;
  columns.forEach(({ first, second, near, far }, index) => {
    const [a, b] = [first - left, second - left];
    for (let channel = 0; channel < 3; channel++) {
      const one = a >= 0 && a < patch.width ? patch.data[from + 3 * a + channel] : 0;
      const two = b >= 0 && b < patch.width ? patch.data[from + 3 * b + channel] : 0;
      values[3 * index + channel] = one * near + two * far;
    }
  });
  return values;
}

/** Round to the nearest whole number, halves to the even one, as Python does. */
export function roundHalfEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

/** RGB means over the cells of a part of a frame; cells at the rim are filled up with the last row or column. */
function averaged(frame, x1, y1, x2, y2, cell) {
  let [width, height] = [Math.max(x2 - x1, 0), Math.max(y2 - y1, 0)];
  let data = new Uint8Array(width * height * 3);
  for (let row = 0, at = 0; row < height; row++) {
    const y = Math.min(y1 + row, frame.height - 1);
    for (let column = 0; column < width; column++, at += 3) {
      const from = (y * frame.width + Math.min(x1 + column, frame.width - 1)) * 4;
      data.set(frame.data.subarray(from, from + 3), at);
    }
  }
  for (let left = cell; left > 1; left /= 2) {
    const line = width * 3;
    [width, height] = [width / 2, height / 2];
    const half = new Uint8Array(width * height * 3);
    for (let row = 0, at = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        const from = 2 * row * line + 6 * column;
        for (let channel = 0; channel < 3; channel++, at++) {
          const i = from + channel;
          half[at] = (data[i] + data[i + 3] + data[i + line] + data[i + line + 3] + 2) >> 2;
        }
      }
    }
    data = half;
  }
  return { data, width, height };
}
