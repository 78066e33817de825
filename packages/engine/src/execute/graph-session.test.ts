// Both ways of running a model make the same bits; the direct one in the memory that it was given; and what is wrong is said.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { Emitter } from '../onnx/emitter.js';
import { encodeModel, type ValueInfoProto } from '../onnx/model-proto.js';
import { bindingSession, createGraphSession, directSession, type GraphSession } from './graph-session.js';
import * as ort from './onnx-runtime.js';
import { ortLibrary } from './ort-library.js';

const OPTIONS = { threads: 2, provider: 'cpu' } as const;
const library = ortLibrary();
const canCall = 'missing' in library ? { skip: library.missing } : {};

test('both ways make the same bits, run after run', canCall, async () => {
  assert.ok(!('missing' in library));
  const x = Float32Array.from({ length: 12 }, (_, i) => Math.sin(i));
  const results: Float32Array[] = [];
  for (const session of [
    directSession(library, squareModel(), OPTIONS),
    await bindingSession(squareModel(), OPTIONS),
  ]) {
    const y = new Float32Array(9);
    const run = session.bind({ x: tensor(x, [3, 4]) }, { y: tensor(y, [3, 3]) });
    await run();
    x[0]! += 1;
    await run();
    x[0]! -= 1;
    results.push(y);
    await session.release();
  }
  assert.deepEqual(results[0], results[1]);
  const square = x.subarray(4, 8).reduce((sum, value) => sum + value * value, 0);
  assert.ok(Math.abs(results[0]![4]! - square) < 1e-6);
});

test('products in blocks of rows have the bits of the whole product, with one thread and two', async () => {
  const [rows, depth, width] = [1200, 200, 137];
  const memory = {
    x: tensor(
      Float32Array.from({ length: rows * depth }, (_, i) => Math.sin(0.7 * i)),
      [rows, depth],
    ),
    w: tensor(
      Float32Array.from({ length: width * depth }, (_, i) => Math.cos(1.3 * i)),
      [width, depth],
    ),
  };
  const product = async (isInBlocks: boolean, threads: number): Promise<Float32Array> => {
    const emit = new Emitter();
    const operand = (name: 'x' | 'w') => ({ name, shape: memory[name].dims, dtype: 'float32' as const });
    const whole = () => emit.op('Gemm', ['x', 'w'], { transB: 1 });
    const result = isInBlocks ? emit.rowsProduct(operand('x'), operand('w'), { transB: true }) : whole();
    const { nodes, constants } = emit.finish(new Map([['y', result]]));
    const model = encodeModel({
      ...{ name: 'product', node: nodes, initializer: constants, valueInfo: [] },
      ...{ input: [floats('x', [rows, depth]), floats('w', [width, depth])], output: [floats('y', [rows, width])] },
    });
    const session = await createGraphSession(model, { ...OPTIONS, threads });
    const y = new Float32Array(rows * width);
    await session.bind(memory, { y: tensor(y, [rows, width]) })();
    await session.release();
    return y;
  };
  const whole = await product(false, 1);
  assert.ok(whole.some((value) => value !== 0));
  for (const threads of [1, 2]) assert.deepEqual(await product(true, threads), whole);
});

test('a model, a tensor and a shape that do not fit are errors with words', canCall, async () => {
  assert.ok(!('missing' in library));
  assert.throws(() => directSession(library, new Uint8Array([1, 2, 3]), OPTIONS), /[Pp]rotobuf/);
  const session = directSession(library, squareModel(), OPTIONS);
  const wrong = session.bind({ x: tensor(new Float32Array(6), [2, 3]) }, { y: tensor(new Float32Array(9), [3, 3]) });
  await assert.rejects(wrong(), /Got invalid dimensions for input: x/);
  const unknown = session.bind({ z: tensor(new Float32Array(12), [3, 4]) }, { y: tensor(new Float32Array(9), [3, 3]) });
  await assert.rejects(unknown(), /z/);
  await session.release();
});

test('both ways write a profile', canCall, async () => {
  assert.ok(!('missing' in library));
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-graph-session-'));
  try {
    const profiled = (name: string) => ({ ...OPTIONS, profilePrefix: path.join(folder, name) });
    const sessions: GraphSession[] = [
      directSession(library, squareModel(), profiled('direct')),
      await bindingSession(squareModel(), profiled('binding')),
    ];
    for (const session of sessions) {
      const run = session.bind({ x: tensor(new Float32Array(12), [3, 4]) }, { y: tensor(new Float32Array(9), [3, 3]) });
      await run();
      session.endProfiling();
      await session.release();
    }
    const names = readdirSync(folder).sort();
    assert.deepEqual(
      names.map((name) => name.split('_')[0]),
      ['binding', 'direct'],
    );
    for (const name of names) assert.match(readFileSync(path.join(folder, name), 'utf8'), /kernel_time/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

function tensor(data: Float32Array, dims: number[]): ort.Tensor {
  return new ort.Tensor('float32', data, dims);
}

/** y = x x^T of [3, 4]. */
function squareModel(): Uint8Array {
  const emit = new Emitter();
  const { nodes, constants } = emit.finish(new Map([['y', emit.op('Gemm', ['x', 'x'], { transB: 1 })]]));
  return encodeModel({
    ...{ name: 'square', node: nodes, initializer: constants, valueInfo: [] },
    ...{ input: [floats('x', [3, 4])], output: [floats('y', [3, 3])] },
  });
}

function floats(name: string, shape: readonly number[]): ValueInfoProto {
  return {
    name,
    type: { tensorType: { elemType: 1, shape: { dim: shape.map((dimValue) => ({ dimValue })) } } },
  };
}
