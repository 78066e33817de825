// The kernels are what their source says; macros expand as they are meant to.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { compileKernels, sourceFile } from './compile-kernels.js';
import { expandMacros } from './expand-macros.js';

test('the binary is what the source compiles to', async () => {
  const text = await compileKernels(readFileSync(sourceFile('pixel-kernels.wat'), 'utf8'));
  assert.equal(readFileSync(sourceFile('pixel-kernels-binary.ts'), 'utf8'), text, 'run npm run kernels -w @slip/data');
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
