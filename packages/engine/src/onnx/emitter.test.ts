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
