// The values of tensors as numbers: compared, averaged, looked through for what is not finite. One tensor at a time.
import { SlipError } from '@slip/core';
import { widened } from './maps/rearrange.js';
import type { Weights } from './open-weights.js';
import { float32Tensor, readWhole, type StoredTensor } from './stored-tensor.js';
import type { WriteProgress } from './torch/write-torch-file.js';

type Numbers = Float32Array | Float64Array;

/** int64 beyond 2^53 is rounded; everything else is exact. */
async function readNumbers(tensor: StoredTensor): Promise<Numbers> {
  const { buffer } = await readWhole(widened(tensor));
  switch (widened(tensor).dtype) {
    case 'F32':
      return new Float32Array(buffer as ArrayBuffer);
    case 'F64':
      return new Float64Array(buffer as ArrayBuffer);
    case 'I64':
      return Float64Array.from(new BigInt64Array(buffer as ArrayBuffer), Number);
    case 'I32':
      return Float64Array.from(new Int32Array(buffer as ArrayBuffer));
    case 'I16':
      return Float64Array.from(new Int16Array(buffer as ArrayBuffer));
    case 'I8':
      return Float64Array.from(new Int8Array(buffer as ArrayBuffer));
    default:
      return Float64Array.from(new Uint8Array(buffer as ArrayBuffer));
  }
}

/** Names of tensors with NaN or infinite values. */
export async function findNonFinite(
  tensors: readonly StoredTensor[],
  onBytes?: (bytes: number) => void,
): Promise<string[]> {
  const names: string[] = [];
  for (const tensor of tensors) {
    const values = await readNumbers(tensor);
    if (!values.every(Number.isFinite)) names.push(tensor.name);
    onBytes?.(tensor.byteLength);
  }
  return names;
}

export interface TensorDifference {
  readonly name: string;
  /** Largest absolute difference; NaN where only one of them is NaN. */
  readonly largest: number;
  readonly differing: number;
  readonly elements: number;
}

export interface WeightsDifference {
  readonly onlyInFirst: readonly string[];
  readonly onlyInSecond: readonly string[];
  readonly otherShape: readonly string[];
  /** Tensors of which at least one element differs, the largest difference first. */
  readonly values: readonly TensorDifference[];
  readonly equal: number;
}

/** Tensor by tensor under our names, whatever the files' formats are; moments too where both have them. */
export async function diffWeights(
  first: Weights,
  second: Weights,
  onProgress?: WriteProgress,
): Promise<WeightsDifference> {
  const both = first.moments !== undefined && second.moments !== undefined;
  const [left, right] = [first, second].map((weights) => [
    ...weights.tensors,
    ...(both ? (weights.moments ?? []) : []),
  ]);
  const others = new Map(right.map((tensor) => [tensor.name, tensor]));
  const total = left.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const onlyInFirst: string[] = [];
  const otherShape: string[] = [];
  const values: TensorDifference[] = [];
  let [equal, done] = [0, 0];
  for (const tensor of left) {
    const other = others.get(tensor.name);
    others.delete(tensor.name);
    if (other === undefined) onlyInFirst.push(tensor.name);
    else if (`${other.shape}` !== `${tensor.shape}`)
      otherShape.push(`${tensor.name} [${tensor.shape}] and [${other.shape}]`);
    else {
      const difference = compare(tensor.name, await readNumbers(tensor), await readNumbers(other));
      if (difference.differing === 0) equal++;
      else values.push(difference);
    }
    done += tensor.byteLength;
    onProgress?.(done, total);
  }
  values.sort((a, b) => (Number.isNaN(b.largest) ? 1 : b.largest) - (Number.isNaN(a.largest) ? 1 : a.largest));
  return { onlyInFirst, onlyInSecond: [...others.keys()], otherShape, values, equal };
}

function compare(name: string, a: Numbers, b: Numbers): TensorDifference {
  let [largest, differing] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    if (a[i] === b[i] || (Number.isNaN(a[i]) && Number.isNaN(b[i]))) continue;
    differing++;
    const difference = Math.abs(a[i] - b[i]);
    if (!(difference <= largest)) largest = Number.isNaN(largest) ? largest : difference;
  }
  return { name, largest, differing, elements: a.length };
}

/**
 * The mean of several models of the same kind ("model soup"), computed in float64 and kept as float32. Counters are taken
 * from the first; batch-norm statistics are averaged like everything else. Reads when its tensors are read.
 * @throws SlipError `checkpoint` when the files do not hold the same tensors, naming what differs
 */
export function averageWeights(all: readonly Weights[]): Weights {
  const [first, ...others] = all;
  const maps = others.map((weights) => new Map(weights.tensors.map((tensor) => [tensor.name, tensor])));
  for (const [i, map] of maps.entries()) {
    const differs =
      first.tensors.find(({ name, shape }) => `${map.get(name)?.shape}` !== `${shape}`)?.name ??
      (map.size === first.tensors.length
        ? undefined
        : others[i].tensors.find(({ name }) => !first.tensors.some((tensor) => tensor.name === name))?.name);
    if (differs !== undefined) {
      throw new SlipError(
        'checkpoint',
        `${others[i].path} and ${first.path} are not models of one kind: ${differs} differs in shape or is missing`,
      );
    }
  }
  const { moments: _, ...facts } = first;
  return {
    ...facts,
    tensors: first.tensors.map((tensor) => averageOf([tensor, ...maps.map((map) => map.get(tensor.name)!)])),
    notes: [],
  };
}

function averageOf(tensors: readonly StoredTensor[]): StoredTensor {
  const [first] = tensors;
  if (!['F32', 'F16', 'BF16', 'F64'].includes(first.dtype)) return first;
  const byteLength = 4 * first.shape.reduce((product, size) => product * size, 1);
  return {
    name: first.name,
    dtype: 'F32',
    shape: first.shape,
    byteLength,
    async *chunks() {
      const sum = new Float64Array(byteLength / 4);
      for (const tensor of tensors) {
        const values = await readNumbers(tensor);
        for (let i = 0; i < sum.length; i++) sum[i] += values[i];
      }
      const mean = Float32Array.from(sum, (value) => value / tensors.length);
      yield* float32Tensor(first.name, first.shape, mean).chunks();
    },
  };
}
