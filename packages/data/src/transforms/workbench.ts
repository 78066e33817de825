// One picture on its way to a view, in memory of the vector kernels: resized, coloured, blurred and written as floats with Pillow's
// arithmetic, bit for bit. Not the recipe of a view: see views.ts.
import { invariant } from '@slip/core';
import { ensureBytes, type KernelMemory, kernelsOn, type PixelKernels } from '../vector/kernel-memory.js';
import { type BoxWeights, boxWeights } from './blur.js';
import { blendLevel } from './colour.js';
import { type PixelImage, pixelImage } from './pixel-image.js';
import { type ResizeOptions, type ResizeWeights, resizeWeights } from './resize-weights.js';
import { NORMALISED, type Normalisation } from './to-tensor.js';
import type { Transforms } from './views.js';

/** Kernels read up to so many bytes behind what they use. */
const SLACK = 64;
/** Larger pictures are resized strip by strip. */
const HELD_BYTES = 32 << 20;

/** The view so far: for each row its red, green and blue line of `stride` bytes. */
interface Lines {
  readonly at: number;
  readonly columns: number;
  readonly rows: number;
  readonly stride: number;
}

export class Workbench {
  private readonly memory: KernelMemory;
  private readonly kernels: PixelKernels;
  private readonly isFast: boolean;
  private readonly tables: number;
  private readonly source: number;
  private bytes: Uint8Array;
  private image: PixelImage | undefined;
  /** First row in memory, and how many. */
  private held = { first: 0, count: 0 };
  private view: Lines | undefined;
  /** Of the same size as the view, behind it. */
  private spare = 0;

  /**
   * @param base where the memory that may be used begins, a multiple of 16
   * @param transforms which arithmetic resizing, hue, blur and normalisation have
   */
  constructor(memory: KernelMemory, base: number, transforms: Transforms = 'exact') {
    this.memory = memory;
    this.isFast = transforms === 'fast';
    this.kernels = kernelsOn(memory);
    this.tables = base;
    this.source = base + NORMALISATIONS.length * 3 * TABLE_BYTES;
    this.bytes = this.upTo(this.source);
    const tables = new Float32Array(memory.buffer, base, NORMALISATIONS.length * 3 * 256);
    NORMALISATIONS.forEach((name, i) => {
      for (let c = 0; c < 3; c++) tables.set(NORMALISED[name][c], (3 * i + c) * 256);
    });
  }

  /** Takes a picture; views are then cut from it. */
  hold(image: PixelImage): void {
    invariant(image.channels === 3, 'a view is cut from an RGB picture');
    this.image = image;
    this.held = { first: 0, count: 0 };
  }

  /** Begins a view: a part of the picture, resized. */
  resize(options: ResizeOptions): void {
    const image = this.image;
    invariant(image !== undefined, 'a picture is held');
    const { left, top, window, columns, rows } = resizeWeights(image, options);
    const stride = 16 * Math.ceil(window.width / 16);
    const pitch = 3 * stride;
    const rowBytes = 3 * image.width;
    const stripRows = Math.max(1, Math.min(image.height, Math.floor(HELD_BYTES / rowBytes)));
    const columnTable = align(this.source + stripRows * rowBytes + SLACK);
    const rowTable = align(columnTable + tableBytes(columns));
    const narrowed = align(rowTable + tableBytes(rows));
    const numRows = rows.end - rows.first;
    const view = align(narrowed + (numRows + 1) * pitch + SLACK);
    this.spare = align(view + window.height * pitch + SLACK);
    this.bytes = this.upTo(this.spare + window.height * pitch + stride + 2 * SLACK);
    const { narrow, combineRows, narrowFast, combineRowsFast } = this.kernels;
    this.writeTable(columnTable, columns, 3, 0);
    this.writeTable(rowTable, rows, pitch, rows.first);
    for (let done = 0; done < numRows; ) {
      const first = top + rows.first + done;
      this.load(image, first, stripRows);
      const count = Math.min(numRows - done, this.held.first + this.held.count - first);
      const src = this.source + (first - this.held.first) * rowBytes + 3 * left;
      (this.isFast ? narrowFast : narrow)(
        ...[src, rowBytes, count, narrowed + done * pitch, stride, window.width],
        ...[columnTable, columns.pairs],
      );
      done += count;
    }
    (this.isFast ? combineRowsFast : combineRows)(narrowed, pitch, view, window.height, rowTable, rows.pairs);
    this.view = { at: view, columns: window.width, rows: window.height, stride };
  }

  /** @param factor 1 changes nothing, as with contrast and saturation */
  brightness(factor: number): void {
    const { at, rows, stride } = this.lines();
    this.kernels.blendWithLevel(at, 3 * stride * rows, 0, factor);
  }

  contrast(factor: number): void {
    const { at, rows, columns, stride } = this.lines();
    const level = blendLevel(this.kernels.sumOfLuma(at, rows, columns, stride), rows * columns);
    this.kernels.blendWithLevel(at, 3 * stride * rows, level, factor);
  }

  saturation(factor: number): void {
    const { at, rows, stride } = this.lines();
    this.kernels.blendWithLuma(at, rows, stride, factor);
  }

  grayscale(): void {
    this.saturation(0);
  }

  /** @param factor -0.5..0.5 of the circle */
  hue(factor: number): void {
    const { at, rows, stride } = this.lines();
    const { turnHue, turnHueFast } = this.kernels;
    (this.isFast ? turnHueFast : turnHue)(at, rows, stride, Math.trunc(factor * 255) & 255);
  }

  /** @param radius the standard deviation in pixels, Pillow's `GaussianBlur(radius)` */
  blur(radius: number): void {
    const box = boxWeights(radius);
    if (box === undefined) return;
    if (this.isFast && box.reach <= MAX_SMOOTH_REACH) this.smooth(box);
    else this.boxBlur(box);
  }

  /** Three box filters along lines, three along columns, bytes rounded after each. */
  private boxBlur({ reach, inner, outer }: BoxWeights): void {
    const { at, rows, columns, stride } = this.lines();
    invariant(reach < 31, `a blur that reaches ${reach} pixels`);
    const weights = [(inner >> 12) | ((outer >> 12) << 16), (inner & 4095) | ((outer & 4095) << 16)] as const;
    const temp = this.spare + 3 * stride * rows;
    this.kernels.blurLines(at, 3 * rows, columns, stride, reach, ...weights, 3, temp);
    const places = [at, this.spare];
    for (let pass = 0; pass < 3; pass++) {
      this.kernels.blurColumns(places[pass % 2], places[(pass + 1) % 2], rows, 3 * stride, reach, ...weights);
    }
    this.view = { at: this.spare, columns, rows, stride };
    this.spare = at;
  }

  /** The three as one filter along lines and one along columns, bytes rounded after each. */
  private smooth(box: BoxWeights): void {
    const { at, rows, columns, stride } = this.lines();
    const weights = smoothWeights(box);
    const groups = weights.length / 2;
    const margin = 2 * groups - 1;
    const padded = stride + 32;
    const pitch = 3 * padded;
    const from = align(Math.max(at, this.spare) + 3 * stride * rows + SLACK);
    const lines = align(from + pitch * rows + SLACK);
    const table = align(lines + pitch * (rows + 2 * margin) + SLACK);
    this.bytes = this.upTo(table + SLACK);
    new Int16Array(this.memory.buffer, table, weights.length).set(weights);
    this.kernels.padLines(at, 3 * rows, columns, stride, from);
    const [top, bottom] = [lines + margin * pitch, lines + (margin + rows) * pitch];
    this.kernels.smooth(from, top, pitch * rows, 1, groups, table);
    for (let k = 0; k < margin; k++) {
      this.bytes.copyWithin(lines + k * pitch, top, top + pitch);
      this.bytes.copyWithin(bottom + k * pitch, bottom - pitch, bottom);
    }
    this.kernels.smooth(top, from, pitch * rows, pitch, groups, table);
    this.view = { at: from + 16, columns, rows, stride: padded };
    this.spare = lines;
  }

  /** Ends a view: planes of normalised floats, from byte `place` of the same memory. */
  write(place: number, flip: boolean, normalisation: Normalisation = 'imagenet'): void {
    const { at, rows, columns, stride } = this.lines();
    for (let c = 0; c < 3; c++) {
      const table = this.tables + (3 * NORMALISATIONS.indexOf(normalisation) + c) * TABLE_BYTES;
      const plane = place + 4 * c * rows * columns;
      if (this.isFast && columns % 4 === 0) {
        const [low, high] = [NORMALISED[normalisation][c][0], NORMALISED[normalisation][c][255]];
        const step = (high - low) / 255;
        this.kernels.scale(at + c * stride, rows, columns, 3 * stride, plane, step, low, flip ? 1 : 0);
        continue;
      }
      this.kernels.lookUp(at + c * stride, rows, columns, 3 * stride, plane, table, flip ? 1 : 0);
    }
  }

  /** The same into any memory, from element `offset`. */
  copy(out: Float32Array, offset: number, flip: boolean, normalisation?: Normalisation): void {
    const { rows, columns } = this.lines();
    const place = align(Math.max(this.spare, this.lines().at) + 3 * this.lines().stride * rows + SLACK);
    this.bytes = this.upTo(place + 12 * rows * columns);
    this.write(place, flip, normalisation);
    out.set(new Float32Array(this.memory.buffer, place, 3 * rows * columns), offset);
  }

  /** What was written from byte `place` on. */
  floats(place: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, place, length);
  }

  /** The view so far, as a picture of its own. */
  pixels(): PixelImage {
    const { at, rows, columns, stride } = this.lines();
    const data = new Uint8Array(3 * rows * columns);
    for (let y = 0, o = 0; y < rows; y++) {
      const line = at + 3 * y * stride;
      for (let x = line; x < line + columns; x++, o += 3) {
        data[o] = this.bytes[x];
        data[o + 1] = this.bytes[x + stride];
        data[o + 2] = this.bytes[x + 2 * stride];
      }
    }
    return pixelImage(columns, rows, 3, data);
  }

  private lines(): Lines {
    invariant(this.view !== undefined, 'a view begins with a resize');
    return this.view;
  }

  private load(image: PixelImage, row: number, stripRows: number): void {
    const { first, count } = this.held;
    if (row >= first && row < first + count) return;
    const from = stripRows === image.height ? 0 : row;
    const to = Math.min(image.height, from + stripRows);
    this.bytes.set(image.data.subarray(3 * image.width * from, 3 * image.width * to), this.source);
    this.held = { first: from, count: to - from };
  }

  /** @param step bytes from one input to the next; @param origin the input at offset 0 */
  private writeTable(at: number, weights: ResizeWeights, step: number, origin: number): void {
    const { starts, counts, values, stride, pairs, end } = weights;
    const wordsOfPair = this.isFast ? 1 : 2;
    const words = new Int32Array(this.memory.buffer, at, starts.length * (1 + wordsOfPair * pairs)).fill(0);
    const halves = new Int16Array(this.memory.buffer, at, 2 * words.length);
    for (let i = 0; i < starts.length; i++) {
      // Every output reads as many inputs; weights of 0 stand in front where there would be none behind.
      const from = Math.max(origin, Math.min(starts[i], end - 2 * pairs));
      const before = starts[i] - from;
      const word = i * (1 + wordsOfPair * pairs);
      words[word] = (from - origin) * step;
      for (let k = 0; k < counts[i]; k++) {
        const weight = values[i * stride + k];
        const pair = (before + k) >> 1;
        const half = 2 * (word + 1 + wordsOfPair * pair) + ((before + k) & 1);
        if (this.isFast) halves[half] = (weight + 128) >> 8;
        else {
          halves[half] = weight >> 11;
          halves[half + 2] = weight & 2047;
        }
      }
    }
  }

  private upTo(end: number): Uint8Array {
    ensureBytes(this.memory, end);
    return this.bytes !== undefined && this.bytes.length >= end ? this.bytes : new Uint8Array(this.memory.buffer);
  }
}

const NORMALISATIONS = ['imagenet', 'half'] as const satisfies readonly Normalisation[];
const TABLE_BYTES = 256 * Float32Array.BYTES_PER_ELEMENT;

/** Further than that, what lies beside a line would not do. */
const MAX_SMOOTH_REACH = 3;

/** Weights of 2^14 at distance 0, 1, 2, ... of three equal boxes after each other, an even number of them, the first of them halved. */
function smoothWeights({ reach, inner, outer }: BoxWeights): number[] {
  const box = [outer, ...new Array<number>(2 * reach + 1).fill(inner), outer].map((weight) => weight / 2 ** 24);
  const all = convolve(convolve(box, box), box);
  const centre = (all.length - 1) / 2;
  const weights = all.slice(centre).map((weight) => Math.round(weight * 2 ** 14));
  const others = weights.slice(1).reduce((sum, weight) => sum + weight, 0);
  // What is flat stays so.
  weights[0] = 2 ** 13 - others;
  return weights.length % 2 === 0 ? weights : [...weights, 0];
}

function convolve(a: readonly number[], b: readonly number[]): number[] {
  const out = new Array<number>(a.length + b.length - 1).fill(0);
  for (const [i, x] of a.entries()) for (const [j, y] of b.entries()) out[i + j] += x * y;
  return out;
}

function align(place: number): number {
  return 64 * Math.ceil(place / 64);
}

function tableBytes({ starts, pairs }: ResizeWeights): number {
  return 4 * starts.length * (1 + 2 * pairs) + SLACK;
}
