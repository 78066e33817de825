// For tests: a small set of tensors with every odd shape, a function of one number, and its comparison with a checkpoint.
import assert from 'node:assert/strict';
import type { Checkpoint, NamedTensor } from '../index.js';

export function sampleFiles(value: number): Record<string, NamedTensor[]> {
  return {
    model: [
      { name: 'logit_scale', dtype: 'F32', shape: [], data: Float32Array.of(value + 0.1) },
      {
        name: 'image_mlp.bn1.num_batches_tracked',
        dtype: 'I64',
        shape: [],
        data: BigInt64Array.of(2n ** 62n + BigInt(value)),
      },
      {
        name: 'weight',
        dtype: 'F32',
        shape: [3, 5],
        data: Float32Array.from({ length: 15 }, (_, i) => Math.sin(i + value)),
      },
      { name: 'empty', dtype: 'F32', shape: [0, 4], data: new Float32Array(0) },
    ],
    optimizer: [
      { name: 'exp_avg/weight', dtype: 'F32', shape: [3, 5], data: new Float32Array(15).fill(value / 3) },
      {
        name: 'special',
        dtype: 'F32',
        shape: [5],
        data: Float32Array.of(Number.NaN, -0, Number.POSITIVE_INFINITY, 1e-45, value),
      },
    ],
  };
}

/** Every tensor, bit for bit. */
export async function assertHoldsSample(checkpoint: Checkpoint, value: number): Promise<void> {
  for (const [file, tensors] of Object.entries(sampleFiles(value))) {
    assert.deepEqual([...checkpoint.tensorNames(file)].sort(), tensors.map(({ name }) => name).sort());
    const read = new Map(
      tensors.map(({ name, dtype, data }) => [
        name,
        dtype === 'F32' ? new Float32Array(data.length) : new BigInt64Array(data.length),
      ]),
    );
    await checkpoint.readInto(file, (name, dtype, shape) => {
      const expected = tensors.find((tensor) => tensor.name === name);
      assert.deepEqual([dtype, shape], [expected?.dtype, expected?.shape]);
      return read.get(name);
    });
    for (const { name, data } of tensors) assert.deepEqual(bits(read.get(name)!), bits(data), name);
  }
}

function bits({ buffer, byteOffset, byteLength }: ArrayBufferView): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('hex');
}
