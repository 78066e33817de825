// The emitter: equal nodes once, unused ones never, results under their names, and the order ONNX Runtime needs.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Emitter } from './emitter.js';

const types = (nodes: readonly { opType: string }[]) => nodes.map(({ opType }) => opType);

test('equal nodes and constants are written once, unused ones never', () => {
  const emit = new Emitter();
  const sum = emit.op('Add', [emit.op('Exp', ['x']), emit.op('Exp', ['x'])]);
  emit.op('Log', ['x']);
  emit.scalar(7);
  const scaled = emit.op('Mul', [emit.op('Mul', [sum, emit.scalar(2)]), emit.scalar(2)]);
  const { nodes, constants } = emit.finish(new Map([['y', scaled]]));
  assert.deepEqual(types(nodes), ['Exp', 'Add', 'Mul', 'Mul']);
  assert.equal(constants.length, 1);
  assert.deepEqual(nodes[3]!.output, ['y']);
});

test('equal operators with other attributes are kept apart', () => {
  const emit = new Emitter();
  const results = new Map([
    ['a', emit.op('Transpose', ['x'], { perm: [1, 0] })],
    ['b', emit.op('Transpose', ['x'], { perm: [0, 1] })],
  ]);
  assert.equal(emit.finish(results).nodes.length, 2);
});

test('a result that is an input or another result is a copy', () => {
  const emit = new Emitter();
  const y = emit.op('Neg', ['x']);
  const { nodes } = emit.finish(
    new Map([
      ['first', y],
      ['second', y],
      ['third', 'x'],
    ]),
  );
  const wiring = nodes.map(({ opType, input, output }) => `${opType} ${input} -> ${output}`);
  assert.deepEqual(wiring.sort(), ['Identity first -> second', 'Identity x -> third', 'Neg x -> first']);
});

test('nodes that nothing consumes come last, in reverse', () => {
  const emit = new Emitter();
  const first = emit.op('Exp', ['x']);
  const gradientOfLast = emit.op('Neg', [first]);
  const second = emit.op('Log', [first]);
  const gradientOfFirst = emit.op('Abs', [second]);
  const { nodes } = emit.finish(
    new Map([
      ['last', gradientOfLast],
      ['first', gradientOfFirst],
    ]),
  );
  assert.deepEqual(types(nodes), ['Exp', 'Log', 'Abs', 'Neg']);
});

test('what is reshaped twice is reshaped once', () => {
  const emit = new Emitter();
  const first = emit.op('Reshape', [emit.op('Exp', ['x']), emit.ints([2, 3])]);
  const second = emit.op('Reshape', [first, emit.ints([6])]);
  const { nodes } = emit.finish(new Map([['y', second]]));
  assert.deepEqual(types(nodes), ['Exp', 'Reshape']);
});

test('on the CPU a product of many rows is one of blocks, and its weight has an axis more than they', () => {
  const shapesOf = (provider: 'cpu' | 'cuda', depth: number) => {
    const emit = new Emitter(provider);
    const rows = { name: 'x', shape: [800, depth], dtype: 'float32' as const };
    const weight = { name: 'w', shape: [8, depth], dtype: 'float32' as const };
    const { nodes, constants } = emit.finish(
      new Map([['y', emit.rowsProduct(rows, weight, { transB: true, bias: 'b' })]]),
    );
    return [types(nodes).join(' '), ...constants.map(({ rawData }) => `${new BigInt64Array(rawData.slice().buffer)}`)];
  };
  assert.deepEqual(shapesOf('cpu', 256), [
    ...['Reshape Reshape FusedMatMul Add Reshape', '2,400,256', '1,1,8,256', '800,8'],
  ]);
  assert.deepEqual(shapesOf('cpu', 64), ['Gemm']);
  assert.deepEqual(shapesOf('cuda', 256), ['Gemm']);
});
