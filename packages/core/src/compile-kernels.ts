// `npm run kernels -w @slip/core`: compiles random-kernels.wat into random-kernels-binary.ts.
import path from 'node:path';
import { kernelFolder } from './compile-wat.js';

/** This file was compiled from one that lies beside them. */
export const kernelSources = kernelFolder(path.resolve(import.meta.dirname, '../src'), '@slip/core', [
  'random-kernels',
]);

if (process.argv[1] === import.meta.filename) await kernelSources.write();
