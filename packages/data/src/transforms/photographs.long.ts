// How far fast is from exact on photographs, a table: `SLIP_PHOTOGRAPHS=DIR npm run test:long -- transforms/photographs`, with a folder of
// JPEG files, for example that of bench/scripts/make-photographs.py; views of SLIP_VIEW_SIZE (224) pixels.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { RandomStream } from '@slip/core';
import { fetchImage, unpackNow } from '../images/decode-image.js';
import { fileImage } from '../images/image-source.js';
import type { Shrink } from '../images/jpeg-decoder.js';
import { createKernelMemory } from '../vector/kernel-memory.js';
import { IMAGE_STD } from './to-tensor.js';
import { type ImageView, makeView, shrinkFor, type Transforms, viewBox } from './views.js';
import { Workbench } from './workbench.js';

const SIZE = Number(process.env.SLIP_VIEW_SIZE ?? 224);
const PLANE = SIZE ** 2;
const folder = process.env.SLIP_PHOTOGRAPHS;

class Difference {
  private readonly means = [0, 0, 0];
  private readonly largest = [0, 0, 0];
  private views = 0;

  /** In steps of a byte. */
  add(fast: Float32Array, exact: Float32Array): void {
    this.views += 1;
    for (let i = 0; i < 3 * PLANE; i++) {
      const c = Math.floor(i / PLANE);
      const difference = Math.abs(fast[i] - exact[i]) * IMAGE_STD[c] * 255;
      this.means[c] += difference / PLANE;
      this.largest[c] = Math.max(this.largest[c], difference);
    }
  }

  get mean(): number {
    return Math.max(...this.means) / this.views;
  }

  toString(): string {
    const list = (values: readonly number[]) => values.map((value) => value.toFixed(2)).join(' ');
    return `${this.views} views, mean ${list(this.means.map((sum) => sum / this.views))}, max ${list(this.largest)}`;
  }
}

test('fast against exact on photographs', {
  skip: folder === undefined && 'SLIP_PHOTOGRAPHS names no folder',
}, async (t) => {
  const differences: Record<string, Difference> = {};
  const benches = {
    fast: new Workbench(createKernelMemory(0), 12 * PLANE, 'fast'),
    exact: new Workbench(createKernelMemory(0), 12 * PLANE, 'exact'),
  };
  const make = async (file: string, view: ImageView, sample: number, transforms: Transforms) => {
    const stream = new RandomStream(0, 'augment', 0, sample, view);
    let box = { left: 0, top: 0, width: 1, height: 1 };
    let shrink: Shrink = 1;
    const image = unpackNow(await fetchImage(fileImage(file)), (width, height) => {
      box = viewBox(view, stream, width, height);
      shrink = transforms === 'fast' ? shrinkFor([box], SIZE) : 1;
      return shrink;
    });
    benches[transforms].hold(image!);
    makeView(benches[transforms], stream, { view, box, shrink, size: SIZE, place: 0 });
    return { out: benches[transforms].floats(0, 3 * PLANE), shrink };
  };
  const files = readdirSync(folder!).filter((name) => /\.jpe?g$/.test(name));
  for (const [sample, name] of files.entries()) {
    for (const view of ['image', 'aug1'] as const) {
      const exact = await make(path.join(folder!, name), view, sample, 'exact');
      const fast = await make(path.join(folder!, name), view, sample, 'fast');
      const kind = `${view}${fast.shrink > 1 ? `, shrunk by ${fast.shrink}` : ''}`;
      differences[kind] ??= new Difference();
      differences[kind].add(fast.out, exact.out);
    }
  }
  for (const [kind, difference] of Object.entries(differences)) {
    t.diagnostic(`${kind}: ${difference}`);
    assert.ok(difference.mean < (kind.includes('shrunk') ? 4 : 1), kind);
  }
});
