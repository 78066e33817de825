// The kernels are what their source says.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { compileKernels, sourceFile } from './compile-kernels.js';

test('the binary is what the source compiles to', async () => {
  const text = await compileKernels();
  assert.equal(readFileSync(sourceFile('pixel-kernels-binary.ts'), 'utf8'), text, 'run npm run kernels -w @slip/data');
});
