// The kernels are what their source says.
import assert from 'node:assert/strict';
import test from 'node:test';
import { kernelSources } from './compile-kernels.js';

test('the binary is what the source compiles to', async () => {
  const { found, made } = await kernelSources.compare('pixel-kernels');
  assert.equal(found, made, 'run npm run kernels -w @slip/data');
});
