// The kernels are what their source says and give Math.log's bits; macros expand as they are meant to.
import assert from 'node:assert/strict';
import test from 'node:test';
import { kernelSources } from './compile-kernels.js';
import { expandMacros } from './expand-macros.js';
import { RandomStream } from './random.js';
import { randomKernels } from './random-kernels.js';

test('the binary is what the source compiles to', async () => {
  const { found, made } = await kernelSources.compare('random-kernels');
  assert.equal(found, made, 'run npm run kernels -w @slip/core');
});

test('the logarithm has the bits of Math.log between 0 and 1', () => {
  const random = new RandomStream('logarithm');
  const near = [1, 2 ** -1, 2 ** -52, 2 ** -104, Math.SQRT1_2, 1 - 2 ** -20, 1 - 2 ** -21];
  const around = near.flatMap((x) => [x * (1 - 2 ** -53), x * (1 - 2 ** -52), x, x * (1 + 2 ** -52)]);
  const some = Array.from({ length: 300_000 }, (_, i) => random.uniform() * 2 ** -(i % 100));
  for (const x of [...around, ...some]) {
    if (x > 0 && x < 1) assert.equal(randomKernels().log(x), Math.log(x), `of ${x}`);
  }
});

test('macros stand for their bodies, in each other too', () => {
  const source = `(module ;; two
    (macro $twice (param $x) (i32.add $x $x))
    (macro $four (param $y) ($twice ($twice $y)))
    (func (export "a b") ($four (local.get $p))))`;
  const twice = '(i32.add (local.get $p) (local.get $p))';
  assert.equal(expandMacros(source), `(module (func (export "a b") (i32.add ${twice} ${twice})))`);
  assert.throws(() => expandMacros('(module (macro $a (param $x) $x) ($a))'), /\$a has 1 parameters, not 0/);
  assert.throws(() => expandMacros('(module (func)'), /1 brackets are not closed/);
});
